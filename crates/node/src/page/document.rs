//! What all pages have in common.

use maud::{DOCTYPE, Markup, html};

use crate::page::rights::Person;

/// A whole page.
pub(super) fn document(title: &str, content: &Markup) -> Markup {
    page(title, None, content)
}

/// The front page, which the browser asks for again after so many seconds, without what it was last told there.
pub(super) fn live(title: &str, seconds: u32, content: &Markup) -> Markup {
    page(title, Some(seconds), content)
}

fn page(title: &str, again: Option<u32>, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if let Some(seconds) = again {
                    meta http-equiv="refresh" content={ (seconds) ";url=/" };
                }
                title { (title) " - Layover" }
                link rel="stylesheet" href="/style.css";
            }
            body {
                a .skip href="#content" { "To the content" }
                header {
                    strong { "Layover" }
                    nav aria-label="Pages" {
                        a href="/" { "Status" }
                        a href="/queue" { "Queue" }
                        a href="/outages" { "Outages" }
                        a href="/cluster" { "Cluster" }
                        a href="/audit" { "What was changed" }
                    }
                }
                main #content { (content) }
            }
        }
    }
}

/// What a form needs so that it is believed.
pub(super) fn token(person: &Person) -> Markup {
    html! { input type="hidden" name="token" value=(person.token); }
}
