//! `layover log-level`.

use api::admin::v1::LogLevelRequest;

use crate::{
    output::Output,
    servers::{Client, Servers},
    words,
};

/// Tells, or changes, what is shown of the log of the node that answers.
pub(crate) async fn log_level(
    servers: &Servers,
    output: &mut Output,
    filter: Option<String>,
) -> anyhow::Result<()> {
    let request = LogLevelRequest { filter };
    let told = servers
        .ask(async |mut client: Client| Ok(client.log_level(request.clone()).await?.into_inner()))
        .await?;
    if output.is_json() {
        return Ok(output.document(&told)?);
    }
    let filter = words::escaped(&told.filter);
    Ok(output.line(&format!("The log of node {} shows {filter}.", told.node_id))?)
}
