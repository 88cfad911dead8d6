//! What a client's address is called, as servers reckon it: a name that the address has, and which has the
//! address (`iprev`, RFC 8601 section 3).

use std::net::IpAddr;

use super::{Dns, LookupError, limits::NAMES_OF_ADDRESS_MAX};

impl Dns {
    /// The first of an address's names that has the address; `None` when there is none.
    ///
    /// # Errors
    /// Why it is not known.
    pub(crate) async fn confirmed_name(
        &self,
        address: IpAddr,
    ) -> Result<Option<String>, LookupError> {
        let address = address.to_canonical();
        let mut untold = None;
        let names = self.ptr(address).await?.into_records();
        for name in names.into_iter().take(NAMES_OF_ADDRESS_MAX) {
            let is_its_own = match address {
                IpAddr::V4(address) => {
                    let found = self.ipv4(&name).await;
                    found.map(|found| found.into_records().contains(&address))
                }
                IpAddr::V6(address) => {
                    let found = self.ipv6(&name).await;
                    found.map(|found| found.into_records().contains(&address))
                }
            };
            match is_its_own {
                Ok(true) => return Ok(Some(name)),
                Ok(false) | Err(LookupError::NotAName(_)) => {}
                Err(error) => untold = Some(error),
            }
        }
        untold.map_or(Ok(None), Err)
    }
}
