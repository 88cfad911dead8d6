//! `layover domain pause` and `resume`.

use api::admin::v1::{DomainPauseRequest, DomainResumeRequest};

use crate::{
    output::Output,
    servers::{Client, Servers},
    words,
};

/// Has a domain's mail kept back.
pub(super) async fn pause(
    servers: &Servers,
    output: &mut Output,
    request: DomainPauseRequest,
) -> anyhow::Result<()> {
    let paused = servers
        .ask(async |mut client: Client| {
            Ok(client.domain_pause(request.clone()).await?.into_inner())
        })
        .await?;
    if output.is_json() {
        return Ok(output.document(&paused)?);
    }
    let domain = words::escaped(&request.domain);
    let until = match paused.until_ms {
        Some(until) => format!("until {}", words::moment(until)),
        None => format!("until `layover domain resume {domain}`"),
    };
    let waiting = words::count(paused.waiting, "message");
    Ok(output.line(&format!(
        "{domain} is paused {until}: mail is taken, and none is sent ({waiting} so far)"
    ))?)
}

/// Has it sent again.
pub(super) async fn resume(
    servers: &Servers,
    output: &mut Output,
    request: DomainResumeRequest,
) -> anyhow::Result<()> {
    let resumed = servers
        .ask(async |mut client: Client| {
            Ok(client.domain_resume(request.clone()).await?.into_inner())
        })
        .await?;
    if output.is_json() {
        return Ok(output.document(&resumed)?);
    }
    let domain = words::escaped(&request.domain);
    let what = if resumed.changed {
        "is resumed"
    } else {
        "was not paused"
    };
    Ok(output.line(&format!("{domain} {what}"))?)
}
