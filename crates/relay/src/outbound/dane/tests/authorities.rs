//! Chains of certificates, and records that name an authority in them.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls_pki_types::CertificateDer;

use super::{HOST, Issued, associations, record};
use crate::dns::Tlsa;

/// The root has issued the middle, and the middle the host's own.
struct Chain {
    root: CertificateDer<'static>,
    middle: CertificateDer<'static>,
    own: Issued,
}

impl Chain {
    fn new() -> Self {
        Self::with(|_| {})
    }

    /// `change` is what is special about the middle.
    fn with(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = authority("the root");
        let root = params.self_signed(&key).unwrap().der().clone();
        let root_issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let mut params = authority("the middle");
        change(&mut params);
        let middle = params.signed_by(&key, &root_issuer).unwrap().der().clone();
        let own = Issued::by(&Issuer::new(params, key), middle.clone(), HOST, 4000);
        Self { root, middle, own }
    }

    fn is_taken(&self, record: &Tlsa, others: &[&CertificateDer<'static>]) -> bool {
        let others: Vec<_> = others.iter().map(|&other| other.clone()).collect();
        let associations = associations(&[], core::slice::from_ref(record)).unwrap();
        self.own.is_taken_with(&associations, &others)
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

#[test]
fn a_chain_must_lead_to_an_authority_that_is_named_and_either_shown_or_in_the_record() {
    let (chain, stranger) = (Chain::new(), Chain::new());
    let (root, middle) = (&chain.root, &chain.middle);
    for (selector, matching) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
        let is_in_record = matching == 0;
        // Which one is named, what is shown beside the host's own, and whether that will do.
        let cases: [(_, &[_], _); 11] = [
            (middle, &[middle, root], true),
            (middle, &[middle], true),
            (middle, &[root], is_in_record),
            (middle, &[], is_in_record),
            (root, &[middle, root], true),
            (root, &[root, middle], true),
            (root, &[middle], is_in_record),
            // Who has issued the host's own nobody knows.
            (root, &[root], false),
            (root, &[], false),
            (&stranger.root, &[middle, root, &stranger.root], false),
            (&stranger.middle, &[middle, root, &stranger.middle], false),
        ];
        for (number, (named, shown, expected)) in cases.into_iter().enumerate() {
            let is_taken = chain.is_taken(&record(2, selector, matching, named), shown);
            assert_eq!(is_taken, expected, "2 {selector} {matching}, case {number}");
        }
    }
}

#[test]
fn what_stands_between_the_authority_and_the_host_must_be_an_authority_in_its_days() {
    let expired = Chain::with(|middle| middle.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let none = Chain::with(|middle| middle.is_ca = IsCa::ExplicitNoCa);
    for chain in [expired, none] {
        for matching in [0, 1] {
            let named = record(2, 1, matching, &chain.root);
            assert!(!chain.is_taken(&named, &[&chain.middle, &chain.root]));
        }
    }
}

#[test]
fn names_and_dates_matter_where_a_key_is_named_that_is_not_shown() {
    for (name, year, expected) in [
        (HOST, 4000, true),
        (HOST, 2020, false),
        ("other.test", 4000, false),
    ] {
        let issued = Issued::until(name, year);
        let key = record(2, 1, 0, &issued.authority);
        let associations = associations(&[], &[key]).unwrap();
        let is_taken = issued.is_taken_with(&associations, &[]);
        assert_eq!(is_taken, expected, "{name} {year}");
    }
}

#[test]
fn what_is_no_key_has_issued_nothing() {
    let chain = Chain::new();
    let key = record(2, 1, 0, &chain.middle);
    assert!(chain.is_taken(&key, &[]));
    let (mut longer, mut shorter) = (key.data.clone(), key.data.clone());
    longer.push(0);
    shorter.pop();
    for data in [
        &[0x30][..],
        &[0x30, 0],
        &[0x30, 0x80],
        &[0x30, 0x82, 1],
        &[0x04, 1, 0],
        &chain.middle,
        &longer,
        &shorter,
    ] {
        let data = data.to_vec();
        let record = Tlsa {
            data,
            ..key.clone()
        };
        assert!(!chain.is_taken(&record, &[]), "{record:?}");
    }
}
