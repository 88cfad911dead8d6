//! Which certificate a client is shown.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// Chooses by the name that the client asks for (RFC 6066 section 3): the first certificate that names it,
/// else the first that names all beside it (`*.example.net`), else the first of all.
#[derive(Debug)]
pub(super) struct ByName {
    first: Arc<CertifiedKey>,
    /// By names in lower case.
    named: HashMap<String, Arc<CertifiedKey>>,
}

impl ByName {
    /// One certificate, with the names in it, for whatever is asked.
    pub(super) fn new(first: CertifiedKey, names: Vec<String>) -> Self {
        let mut by_name = Self {
            first: Arc::new(first),
            named: HashMap::new(),
        };
        by_name.name(&Arc::clone(&by_name.first), names);
        by_name
    }

    /// One more, for those of its names that none before it has.
    pub(super) fn add(&mut self, certified: CertifiedKey, names: Vec<String>) {
        self.name(&Arc::new(certified), names);
    }

    fn name(&mut self, certified: &Arc<CertifiedKey>, names: Vec<String>) {
        for name in names {
            let named = self.named.entry(name.to_ascii_lowercase());
            named.or_insert_with(|| Arc::clone(certified));
        }
    }

    fn choose(&self, asked: Option<&str>) -> &Arc<CertifiedKey> {
        let named = asked.and_then(|asked| {
            let asked = asked.to_ascii_lowercase();
            let beside = || {
                let (_, parent) = asked.split_once('.')?;
                self.named.get(&format!("*.{parent}"))
            };
            self.named.get(&asked).or_else(beside)
        });
        named.unwrap_or(&self.first)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(self.choose(hello.server_name())))
    }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::ring::sign::any_supported_type;
    use rustls_pki_types::PrivateKeyDer;

    use super::*;

    fn certified() -> CertifiedKey {
        let made = rcgen::generate_simple_self_signed(Vec::new()).unwrap();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let key = any_supported_type(&key).unwrap();
        CertifiedKey::new(vec![made.cert.der().clone()], key)
    }

    #[test]
    fn the_first_that_has_the_name_is_shown_and_else_the_first_of_all() {
        let [first, second, third] = [certified(), certified(), certified()];
        let shown = |certified: &CertifiedKey| certified.cert[0].clone();
        let ends = [&first, &second, &third].map(shown);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut by_name = ByName::new(first, names(&["mx1.example.net"]));
        by_name.add(second, names(&["*.Example.org", "mx1.example.net"]));
        by_name.add(third, names(&["mx.example.org", "*.example.org"]));
        for (asked, expected) in [
            (None, 0),
            (Some("mx1.example.net"), 0),
            (Some("a.example.org"), 1),
            (Some("MX.example.org"), 2),
            (Some("a.b.example.org"), 0),
            (Some("example.org"), 0),
            (Some("elsewhere.example"), 0),
            (Some("localhost"), 0),
        ] {
            assert_eq!(shown(by_name.choose(asked)), ends[expected], "{asked:?}");
        }
    }
}
