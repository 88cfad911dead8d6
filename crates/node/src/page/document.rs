//! What all pages have in common.

use maud::{DOCTYPE, Markup, html};

use crate::page::rights::Person;

/// The pages, as they are called on all of them.
const PAGES: [(&str, &str); 5] = [
    ("/", "Status"),
    ("/queue", "Queue"),
    ("/outages", "Outages"),
    ("/cluster", "Cluster"),
    ("/audit", "What was changed"),
];

/// How often a script brings the figures of a page up to date.
const RENEWED_SECONDS: u32 = 3;

/// How often a browser that runs no scripts loads such a page again. A reason is typed meanwhile, and lost then.
const LOADED_SECONDS: u32 = 30;

/// A whole page.
pub(super) fn document(title: &str, content: &Markup) -> Markup {
    page(title, false, content)
}

/// The front page, which stays up to date, without what was last told there.
pub(super) fn live(title: &str, content: &Markup) -> Markup {
    page(title, true, content)
}

fn page(title: &str, is_live: bool, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if is_live {
                    noscript { meta http-equiv="refresh" content={ (LOADED_SECONDS) ";url=/" }; }
                }
                title { (title) " - Layover" }
                link rel="stylesheet" href="/style.css";
            }
            body {
                a .skip href="#content" { "To the content" }
                header {
                    strong { "Layover" }
                    nav aria-label="Pages" {
                        @for (path, name) in PAGES {
                            a href=(path) aria-current=[(name == title).then_some("page")] { (name) }
                        }
                    }
                }
                @if is_live {
                    p #silence role="alert" .warning {}
                }
                main #content tabindex="-1" { (content) }
                @if is_live {
                    script src="/live.js" data-seconds=(RENEWED_SECONDS) {}
                }
            }
        }
    }
}

/// What a form needs so that it is believed.
pub(super) fn token(person: &Person) -> Markup {
    html! { input type="hidden" name="token" value=(person.token); }
}

/// For a form with several buttons, or one that destroys: Enter in one of its fields presses the first button,
/// and that is this one, which does nothing.
pub(super) fn no_default() -> Markup {
    html! { button disabled hidden {} }
}
