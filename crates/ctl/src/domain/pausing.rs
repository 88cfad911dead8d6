//! `layover domain pause` and `resume`.

use api::admin::v1::{DomainPauseRequest, DomainResumeRequest, DomainResumeResponse};

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
    Ok(output.line(&told(&request.domain, &resumed))?)
}

fn told(domain: &str, resumed: &DomainResumeResponse) -> String {
    let domain = words::escaped(domain);
    let ended = match (resumed.pause_ended, resumed.guard_ended) {
        _ if !resumed.changed => return format!("nothing kept the mail of {domain} back"),
        (true, true) => ": its pause is over, and so is the guard of its recovery: refusals count",
        (false, true) => ": the guard of its recovery is over: refusals count",
        (true, false) => ": its pause is over",
        (false, false) => "",
    };
    format!("{domain} is resumed{ended}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_what_was_ended() {
        let told = |changed, pause_ended, guard_ended| {
            let resumed = DomainResumeResponse {
                changed,
                pause_ended,
                guard_ended,
            };
            told("example.com", &resumed)
        };
        assert_eq!(
            told(true, true, false),
            "example.com is resumed: its pause is over"
        );
        assert!(told(true, false, true).contains("guard of its recovery is over"));
        assert!(told(true, true, true).contains("pause is over, and so is the guard"));
        let nothing = told(false, false, false);
        assert_eq!(nothing, "nothing kept the mail of example.com back");
    }
}
