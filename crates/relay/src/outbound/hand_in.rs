//! One message from memory through one connection, of which nobody keeps a record here.

use smtp::Envelope;
use smtp::client::{Output, Verdict};

use crate::outbound::connection::{Broken, Connection};

impl Connection {
    /// Hands in a message for one recipient, over a session that is ready. It is to be smaller than a chunk of
    /// BDAT.
    ///
    /// # Errors
    /// The connection broke before there was a verdict; the server may have taken the message.
    pub(crate) async fn hand_in(
        &mut self,
        envelope: Envelope,
        octets: &[u8],
    ) -> Result<Verdict, Broken> {
        self.session.deliver(envelope);
        loop {
            match self.advance().await? {
                Output::SendBody => {
                    self.session.send_body(octets);
                    self.session.end_body();
                }
                Output::ConfirmFinalDot => self.session.send_final_dot(),
                Output::Completed(verdicts) => {
                    return verdicts.into_iter().next().ok_or(Broken::Ended);
                }
                _ => return Err(Broken::Ended),
            }
        }
    }
}
