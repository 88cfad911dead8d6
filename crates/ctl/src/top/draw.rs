//! Draws `layover top`: nodes, domains, the selected domain, and what is wrong.

use std::time::Instant;

use api::admin::v1::{ClusterStatusResponse, Delivery, StatusResponse};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Cell, Paragraph, Row, Table, Wrap},
};

use crate::{cluster, grade::Grade, screen::shortened, status, words};

use super::view::View;

const KEYS: &str = "q quits, the arrows select a domain";

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, view: &mut View, now: Instant) {
    let pencils = Pencils {
        has_colours: view.has_colours,
    };
    let area = frame.area();
    let silence = silence(view, now, pencils);
    let Some(known) = &view.status else {
        let [silence_area, keys] =
            Layout::vertical([Constraint::Min(1), Constraint::Length(1)]).areas(area);
        frame.render_widget(wrapped(silence), silence_area);
        frame.render_widget(Line::from(KEYS), keys);
        return;
    };
    let troubles = troubles(known, pencils);
    let members = known
        .cluster
        .as_ref()
        .map_or(0, |cluster| cluster.members.len());
    let third = area.height / 3;
    let height = |lines: &[Line<'_>]| rows_of(lines, area.width).min(third);
    let [head, silence_area, nodes, domains, selected, wrong, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(height(&silence)),
        Constraint::Length(
            u16::try_from(members.saturating_add(2)).map_or(third, |rows| rows.min(third)),
        ),
        Constraint::Min(3),
        Constraint::Length(3),
        Constraint::Length(height(&troubles)),
        Constraint::Length(1),
    ])
    .areas(area);

    frame.render_widget(Line::from(status::headline(known)), head);
    frame.render_widget(wrapped(silence), silence_area);
    if let Some(cluster) = &known.cluster {
        frame.render_widget(nodes_table(cluster, pencils), nodes);
    }
    let rows = domains_table(known, area.width, pencils);
    frame.render_stateful_widget(rows, domains, &mut view.domains);
    // Drawing has moved the selection to a row that there is.
    let selection = view.domains.selected();
    if let Some(domain) = selection.and_then(|row| known.domains.get(row)) {
        let name = words::escaped(&domain.name);
        let primary = status::primary(domain, known.now_ms);
        let lines = vec![Line::default(), format!("{name}: {primary}").into()];
        frame.render_widget(wrapped(lines), selected);
    }
    frame.render_widget(wrapped(troubles), wrong);
    frame.render_widget(Line::from(KEYS), keys);
}

/// What grades look like.
#[derive(Clone, Copy)]
struct Pencils {
    has_colours: bool,
}

impl Pencils {
    fn of(self, grade: Option<Grade>) -> Style {
        match grade.filter(|_| self.has_colours) {
            None => Style::new(),
            Some(Grade::Well) => Style::new().fg(Color::Green),
            Some(Grade::Odd) => Style::new().fg(Color::Yellow),
            Some(Grade::Wrong) => Style::new().fg(Color::Red),
        }
    }

    fn cell(self, text: String, grade: Option<Grade>) -> Cell<'static> {
        Cell::from(text).style(self.of(grade))
    }
}

fn wrapped(lines: Vec<Line<'_>>) -> Paragraph<'_> {
    Paragraph::new(lines).wrap(Wrap { trim: false })
}

/// How many rows lines take on a screen of some width, about: words that do not fit take a little more.
fn rows_of(lines: &[Line<'_>], width: u16) -> u16 {
    let width = usize::from(width.max(1));
    let rows = lines.iter().map(|line| line.width().div_ceil(width).max(1));
    u16::try_from(rows.sum::<usize>()).unwrap_or(u16::MAX)
}

/// That no node answers; what is drawn is then what was known last.
fn silence(view: &View, now: Instant, pencils: Pencils) -> Vec<Line<'static>> {
    match (&view.silence, &view.status) {
        (None, None) => vec!["Asking ...".into()],
        (None, Some(_)) => Vec::new(),
        (Some((since, why)), known) => {
            let millis = u64::try_from(now.saturating_duration_since(*since).as_millis());
            let for_how_long = words::span(millis.unwrap_or(u64::MAX));
            let below = match known {
                Some(_) => " Below is what was known before.",
                None => "",
            };
            let text = format!("No answer for {for_how_long}, still asking: {why}.{below}");
            vec![Line::from(text).style(pencils.of(Some(Grade::Odd)))]
        }
    }
}

fn nodes_table(cluster: &ClusterStatusResponse, pencils: Pencils) -> Table<'static> {
    let rows = cluster.members.iter().map(|member| {
        Row::new([
            Cell::from(member.id.to_string()),
            Cell::from(words::escaped(&member.address)),
            Cell::from(words::escaped(&member.role)),
            Cell::from(cluster::lag(member)),
            pencils.cell(cluster::last_answer(member), cluster::grade(member)),
            Cell::from(cluster::free(member)),
        ])
    });
    let widths = [
        Constraint::Length(6),
        Constraint::Fill(1),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(22),
        Constraint::Length(11),
    ];
    let headings = ["NODE", "ADDRESS", "ROLE", "LAG", "LAST ANSWER", "FREE"];
    Table::new(rows, widths).header(header(headings))
}

fn domains_table(status: &StatusResponse, width: u16, pencils: Pencils) -> Table<'static> {
    let widths = [
        Constraint::Fill(2),
        Constraint::Fill(3),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(21),
        Constraint::Length(6),
    ];
    // As the table does it, so that what is too long ends with an ellipsis.
    let [name_area, primary_area, ..] = Layout::horizontal(widths)
        .spacing(1)
        .areas::<6>(Rect::new(0, 0, width, 1));
    let fit = |text: &str, area: Rect| shortened(text, usize::from(area.width));
    let rows = status.domains.iter().map(|domain| {
        let condition = status::condition(domain, status.now_ms);
        Row::new([
            Cell::from(fit(&words::escaped(&domain.name), name_area)),
            pencils.cell(fit(&condition, primary_area), status::grade(domain)),
            Cell::from(words::grouped(domain.waiting)),
            Cell::from(words::grouped(domain.deferred)),
            Cell::from(status::oldest(domain, status.now_ms)),
            Cell::from(domain.delivery.as_ref().map_or_else(String::new, rate)),
        ])
    });
    let headings = ["DOMAIN", "PRIMARY", "WAITING", "DEFERRED", "OLDEST", "RATE"];
    Table::new(rows, widths)
        .header(header(headings))
        .row_highlight_style(Modifier::REVERSED)
}

fn header<const N: usize>(headings: [&'static str; N]) -> Row<'static> {
    Row::new(headings).style(Modifier::BOLD).top_margin(1)
}

/// Only the leader knows.
fn rate(delivery: &Delivery) -> String {
    format!("{:.0}/s", delivery.per_second)
}

fn troubles(status: &StatusResponse, pencils: Pencils) -> Vec<Line<'static>> {
    if status.troubles.is_empty() {
        return vec![Line::from("All is well.").style(pencils.of(Some(Grade::Well)))];
    }
    let lines = status.troubles.iter().map(|trouble| {
        let grade = status::grade_of(trouble, status);
        let mark = Span::styled("! ", pencils.of(Some(grade)));
        Line::from(vec![mark, words::escaped(trouble).into()])
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use api::admin::v1::{Alarm, DomainStatus, Member};
    use ratatui::{Terminal, backend::TestBackend, crossterm::event::KeyCode};

    use super::*;

    const NOW_MS: u64 = 1_700_000_000_000;

    fn answer() -> StatusResponse {
        let member = |id, role: &str, lag, silent_ms| Member {
            id,
            address: format!("mx{id}.internal:7400"),
            role: role.to_owned(),
            lag,
            silent_ms,
            free_bytes: lag.map(|_| 5 << 30),
            ..Member::default()
        };
        let domain = |name: &str, condition: &str, waiting| DomainStatus {
            name: name.to_owned(),
            in_policy: true,
            condition: condition.to_owned(),
            since_ms: Some(NOW_MS - 180_000),
            waiting,
            oldest_ms: (waiting > 0).then_some(NOW_MS - 60_000),
            ..DomainStatus::default()
        };
        let held = "Mail of held.example is held back.";
        StatusResponse {
            now_ms: NOW_MS,
            version: "0.1.0".to_owned(),
            hostname: "mx1.example.net".to_owned(),
            cluster: Some(ClusterStatusResponse {
                node_id: 1,
                accepting: true,
                free_bytes: 5 << 30,
                members: vec![
                    member(1, "leader", Some(0), None),
                    member(2, "follower", Some(12), Some(150)),
                    member(3, "follower", None, Some(65_000)),
                ],
                ..ClusterStatusResponse::default()
            }),
            domains: vec![
                DomainStatus {
                    reason: Some("421 go\u{1b}[2J away".to_owned()),
                    ..domain("example.com", "down", 1_234_567)
                },
                DomainStatus {
                    delivery: Some(Delivery {
                        per_second: 87.4,
                        ..Delivery::default()
                    }),
                    ..domain("draining.example", "draining", 40)
                },
                domain("held.example", "held-back", 3),
            ],
            troubles: vec![held.to_owned(), "Node 3 does not answer.".to_owned()],
            alarms: vec![Alarm {
                text: held.to_owned(),
                ..Alarm::default()
            }],
            ..StatusResponse::default()
        }
    }

    fn drawn(view: &mut View, now: Instant, width: u16, height: u16) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, view, now)).unwrap();
        terminal
    }

    fn lines(terminal: &Terminal<TestBackend>) -> Vec<String> {
        let buffer = terminal.backend().buffer();
        let rows = buffer.content().chunks(usize::from(buffer.area.width));
        rows.map(|row| {
            let row: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
            row.trim_end().to_owned()
        })
        .collect()
    }

    #[test]
    fn nodes_domains_and_alarms_are_drawn() {
        let now = Instant::now();
        let mut view = View::new(true);
        view.learn(Ok(answer()), now);
        let terminal = drawn(&mut view, now, 100, 24);
        let expected = [
            "mx1.example.net, layover 0.1.0, node 1: takes mail, term 0, 5 GiB free",
            "",
            "NODE   ADDRESS                                ROLE      LAG       LAST ANSWER            FREE",
            "1      mx1.internal:7400                      leader    0         -                      5 GiB",
            "2      mx2.internal:7400                      follower  12        now                    5 GiB",
            "3      mx3.internal:7400                      follower  unknown   1 minute 5 seconds ago unknown",
            "",
            "DOMAIN               PRIMARY                        WAITING   DEFERRED  OLDEST                RATE",
            "example.com          down for 3 minutes             1,234,567 0         1 minute",
            "draining.example     draining                       40        0         1 minute              87/s",
            "held.example         held back                      3         0         1 minute",
        ];
        let lines = lines(&terminal);
        assert_eq!(&lines[..expected.len()], expected);
        let below = [
            "example.com: down for 3 minutes: 421 go\\u{1b}[2J away",
            "",
            "! Mail of held.example is held back.",
            "! Node 3 does not answer.",
            KEYS,
        ];
        assert_eq!(&lines[24 - below.len()..], below);
        let narrow = self::lines(&drawn(&mut view, now, 80, 24));
        assert!(narrow[9].starts_with("draining.ex… draining"), "{narrow:?}");
        let colour = |row, column| terminal.backend().buffer()[(column, row)].fg;
        assert_eq!(colour(8, 21), Color::Red, "down");
        assert_eq!(colour(9, 21), Color::Green, "draining");
        assert_eq!(colour(5, 66), Color::Red, "silent");
        assert_eq!(colour(21, 0), Color::Red, "an alarm");
        assert_eq!(colour(22, 0), Color::Yellow, "a trouble");
    }

    #[test]
    fn arrows_select_what_is_told_in_full() {
        let now = Instant::now();
        let mut view = View::new(false);
        view.learn(Ok(answer()), now);
        for (key, name) in [
            (KeyCode::Down, "draining.example: draining"),
            (KeyCode::Down, "held.example: held back"),
            (KeyCode::Down, "held.example: held back"),
            (KeyCode::Up, "draining.example: draining"),
        ] {
            view.press(&key.into());
            let terminal = drawn(&mut view, now, 100, 24);
            assert!(
                lines(&terminal).iter().any(|line| line.starts_with(name)),
                "{name}"
            );
            let cells = terminal.backend().buffer().content().iter();
            assert!(cells.clone().all(|cell| cell.fg == Color::Reset));
        }
    }

    #[test]
    fn no_answer_is_said_and_what_was_known_stays() {
        let start = Instant::now();
        let later = start + Duration::from_secs(65);
        let mut view = View::new(false);
        assert_eq!(lines(&drawn(&mut view, start, 100, 24))[0], "Asking ...");
        view.learn(Err(anyhow::anyhow!("no node answered: refused")), start);
        let silent = "No answer for 1 minute 5 seconds, still asking: no node answered: refused.";
        assert_eq!(lines(&drawn(&mut view, later, 100, 24))[0], silent);
        view.learn(Ok(answer()), start);
        view.learn(Err(anyhow::anyhow!("no node answered: refused")), start);
        let lines = lines(&drawn(&mut view, later, 100, 24));
        assert!(lines[1].starts_with(silent), "{lines:?}");
        assert!(lines.iter().any(|line| line.starts_with("example.com")));
    }

    #[test]
    fn any_size_can_be_drawn_on() {
        let now = Instant::now();
        let mut view = View::new(true);
        view.learn(Ok(answer()), now);
        for (width, height) in [(1, 1), (10, 3), (20, 8), (80, 24), (300, 100)] {
            drawn(&mut view, now, width, height);
        }
        // As many domains as there are, and the last of them selected.
        let mut many = answer();
        many.domains = vec![many.domains.remove(0); 5_000];
        view.learn(Ok(many), now);
        view.press(&KeyCode::End.into());
        let terminal = drawn(&mut view, now, 80, 24);
        assert_eq!(view.domains.selected(), Some(4_999));
        assert!(
            lines(&terminal)
                .iter()
                .any(|line| line.starts_with("example.com:"))
        );
    }
}
