//! What a proxy says in front of what its client sends.

use relay::inbound::{limits::PROXY_HEADER_MAX, proxy};

/// What is known of a header stays so when more octets come, and it is known before more of them than a
/// header may have are kept.
pub fn proxy_header(data: &[u8]) {
    let whole = proxy::parse(data);
    if let Ok(Some(header)) = whole {
        assert!(header.octets <= data.len().min(PROXY_HEADER_MAX));
    }
    assert!(whole != Ok(None) || data.len() < PROXY_HEADER_MAX);
    for arrived in 0..data.len().min(PROXY_HEADER_MAX) {
        let known = proxy::parse(&data[..arrived]);
        assert!(known == Ok(None) || known == whole, "{arrived} octets");
        if let Ok(Some(header)) = known {
            assert!(header.octets <= arrived);
        }
    }
}
