//! `layover recipients list`, `add` and `forget`.

use api::admin::v1::{
    KnownRecipient, RecipientsAddRequest, RecipientsChangeResponse, RecipientsForgetRequest,
    RecipientsListRequest,
};

use crate::{
    arguments::RecipientsCommand,
    listing::Listing,
    output::Output,
    servers::{Client, Servers},
    words,
};

/// In the metadata of a list: how many recipients the policy lists.
const LISTED: &str = "layover-listed";

/// Does what the command says.
pub(crate) async fn run(
    servers: &Servers,
    output: &mut Output,
    command: RecipientsCommand,
) -> anyhow::Result<()> {
    match command {
        RecipientsCommand::List { domain } => list(servers, output, domain).await,
        RecipientsCommand::Add { domain, addresses } => {
            let request = RecipientsAddRequest { domain, addresses };
            let added = servers
                .ask(async |mut client: Client| {
                    Ok(client.recipients_add(request.clone()).await?.into_inner())
                })
                .await?;
            changed(output, "added", &added)
        }
        RecipientsCommand::Forget {
            domain,
            addresses,
            all,
        } => {
            let request = RecipientsForgetRequest {
                domain,
                addresses,
                all,
            };
            let forgotten = servers
                .ask(async |mut client: Client| {
                    Ok(client
                        .recipients_forget(request.clone())
                        .await?
                        .into_inner())
                })
                .await?;
            changed(output, "forgot", &forgotten)
        }
    }
}

fn changed(
    output: &mut Output,
    verb: &str,
    response: &RecipientsChangeResponse,
) -> anyhow::Result<()> {
    if output.is_json() {
        return Ok(output.document(response)?);
    }
    let recipients = words::count(response.changed, "recipient");
    Ok(output.line(&format!("{verb} {recipients}"))?)
}

/// Lists recipients as they come, however many there are.
async fn list(servers: &Servers, output: &mut Output, domain: String) -> anyhow::Result<()> {
    let request = RecipientsListRequest { domain };
    let answer = servers
        .ask(async |mut client: Client| client.recipients_list(request.clone()).await)
        .await?;
    let listed = answer.metadata().get(LISTED);
    let listed = listed.and_then(|count| count.to_str().ok()?.parse().ok());
    let listing = Listing {
        headings: HEADINGS,
        row,
        nothing: &nothing_known(&request.domain, listed),
    };
    listing.show(answer.into_inner(), output).await
}

/// What is said when nothing is known. `listed`: how many recipients the policy lists, if it has a list of them.
fn nothing_known(domain: &str, listed: Option<u64>) -> String {
    match listed {
        None => "Nothing is known of any recipient.".to_owned(),
        Some(count) => format!(
            "The policy's list decides who is a recipient of {} (addresses in it: {}).",
            words::escaped(domain),
            words::grouped(count)
        ),
    }
}

const HEADINGS: &str = "KNOWN    SINCE                 FROM      ADDRESS";

fn row(recipient: &KnownRecipient) -> String {
    format!(
        "{:<7}  {:<20}  {:<8}  {}",
        recipient.state,
        words::moment(recipient.since_ms),
        recipient.from,
        words::escaped(&recipient.address),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_the_policy_is_told_of() {
        let said = nothing_known("example.com", Some(1_200));
        assert!(
            said.ends_with("example.com (addresses in it: 1,200)."),
            "{said}"
        );
        assert!(nothing_known("example.com", None).starts_with("Nothing is known"));
    }

    #[test]
    fn a_row_stands_below_its_headings_whatever_the_address_is() {
        let row = row(&KnownRecipient {
            address: "a\u{1b}[2J@example.com".to_owned(),
            state: "unknown".to_owned(),
            since_ms: 1_700_000_000_000,
            from: "operator".to_owned(),
        });
        assert_eq!(row.find("a\\u{1b}[2J@"), HEADINGS.find("ADDRESS"));
        assert_eq!(row.find("operator"), HEADINGS.find("FROM"));
        assert!(!row.contains('\n'));
    }
}
