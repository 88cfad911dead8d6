//! `layover audit`.

use api::admin::v1::{AuditEntry, AuditListRequest};

use crate::{
    listing::Listing,
    output::Output,
    servers::{Client, Servers},
    since::Since,
    words,
};

/// Lists what was changed, as it comes.
pub(crate) async fn list(
    servers: &Servers,
    output: &mut Output,
    since: Option<Since>,
) -> anyhow::Result<()> {
    let request = AuditListRequest {
        since_ms: since.map_or(0, Since::unix_ms),
    };
    let entries = servers
        .ask(async |mut client: Client| Ok(client.audit_list(request).await?.into_inner()))
        .await?;
    let listing = Listing {
        headings: HEADINGS,
        row,
        nothing: "Nothing was changed.",
    };
    listing.show(entries, output).await
}

const HEADINGS: &str = "AT                    CHANGED  WHO: WHAT (WHY)";

fn row(entry: &AuditEntry) -> String {
    let reason = match entry.reason.as_str() {
        "" => String::new(),
        reason => format!(" ({})", words::escaped(reason)),
    };
    format!(
        "{:<20}  {:>7}  {}: {}{reason}",
        words::moment(entry.at_ms),
        entry.changed,
        words::escaped(&entry.by),
        words::escaped(&entry.what),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_who_what_and_why() {
        let entry = AuditEntry {
            at_ms: 1_700_000_000_000,
            by: "ann".to_owned(),
            what: "delete --domain example.com".to_owned(),
            reason: "spam\u{1b}".to_owned(),
            changed: 12,
        };
        assert_eq!(
            row(&entry),
            "2023-11-14T22:13:20Z       12  ann: delete --domain example.com (spam\\u{1b})"
        );
        assert_eq!(row(&entry).find("ann"), HEADINGS.find("WHO"));
    }
}
