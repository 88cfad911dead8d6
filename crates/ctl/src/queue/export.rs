//! `layover queue export`.

use anyhow::bail;
use api::admin::v1::QueueExportRequest;

use crate::{
    output::Output,
    servers::{Client, Servers, in_time},
};

/// Writes a message to standard output as it comes.
pub(crate) async fn export(
    servers: &Servers,
    output: &mut Output,
    id: String,
) -> anyhow::Result<()> {
    let request = QueueExportRequest { id };
    let mut chunks = servers
        .ask(async |mut client: Client| {
            Ok(client.queue_export(request.clone()).await?.into_inner())
        })
        .await?;
    loop {
        match in_time(chunks.message()).await {
            Ok(Some(chunk)) => output.octets(&chunk.octets)?,
            Ok(None) => return Ok(output.flush()?),
            Err(status) => {
                output.flush()?;
                bail!("{}", status.message());
            }
        }
    }
}
