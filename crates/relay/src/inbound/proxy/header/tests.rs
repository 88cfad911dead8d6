use proptest::prelude::*;

use super::*;

/// A header of version 2 with these addresses and extensions behind them.
fn version_2(command: u8, protocol: u8, addresses: &[u8], extensions: &[u8]) -> Vec<u8> {
    let length = u16::try_from(addresses.len() + extensions.len()).unwrap();
    let mut header = SIGNATURE.to_vec();
    header.extend_from_slice(&[0x20 | command, protocol]);
    header.extend_from_slice(&length.to_be_bytes());
    header.extend_from_slice(addresses);
    header.extend_from_slice(extensions);
    header
}

const FOUR: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 0, 25];

fn six() -> Vec<u8> {
    let addresses: [Ipv6Addr; 2] = ["2001:db8::7", "2001:db8::25"].map(|a| a.parse().unwrap());
    let mut octets = addresses.map(|address| address.octets()).concat();
    octets.extend_from_slice(&[0x12, 0x67, 0, 25]);
    octets
}

fn client(header: &[u8]) -> Result<Option<SocketAddr>, Malformed> {
    let parsed = parse(header)?.expect("the header is whole");
    assert_eq!(parsed.octets, header.len());
    Ok(parsed.client)
}

#[test]
fn version_1_names_the_client_or_nobody() {
    for (line, expected) in [
        (
            "PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n",
            Some("192.0.2.7:4711"),
        ),
        (
            "PROXY TCP6 2001:db8::7 2001:db8::25 4711 25\r\n",
            Some("[2001:db8::7]:4711"),
        ),
        ("PROXY UNKNOWN\r\n", None),
        (
            "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
            None,
        ),
    ] {
        let expected = expected.map(|address| address.parse().unwrap());
        assert_eq!(client(line.as_bytes()), Ok(expected), "{line}");
    }
}

#[test]
fn version_2_names_the_client_or_nobody() {
    let extensions = [0x04, 0, 3, 1, 2, 3];
    let four = Some("192.0.2.7:4711".parse().unwrap());
    let six_expected = Some("[2001:db8::7]:4711".parse().unwrap());
    for (command, protocol, addresses, expected) in [
        (1, 0x11, FOUR.to_vec(), four),
        (1, 0x21, six(), six_expected),
        (0, 0x11, FOUR.to_vec(), None),
        (0, 0x00, Vec::new(), None),
        (1, 0x00, Vec::new(), None),
        (1, 0x12, FOUR.to_vec(), None),
        (1, 0x31, vec![b'/'; 216], None),
    ] {
        for extensions in [&[][..], &extensions] {
            let header = version_2(command, protocol, &addresses, extensions);
            assert_eq!(client(&header), Ok(expected), "{command} {protocol:#x}");
        }
    }
}

#[test]
fn what_is_no_header_is_told_as_soon_as_it_is_certain() {
    for (octets, expected) in [
        (&b"EHLO a"[..], Malformed::NoHeader),
        (b"E", Malformed::NoHeader),
        (b"proxy TCP4", Malformed::NoHeader),
        (b"PROXY\r\n", Malformed::NoHeader),
        (b"\r\n\r\n\0\r\nQUIT\r", Malformed::NoHeader),
        (b"PROXY \r\n", Malformed::Addresses),
        (b"PROXY UNKNOWNS\r\n", Malformed::Addresses),
        (
            b"PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n",
            Malformed::Addresses,
        ),
        (
            b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25 \r\n",
            Malformed::Addresses,
        ),
        (
            b"PROXY TCP4  192.0.2.7 198.51.100.1 4711 25\r\n",
            Malformed::Addresses,
        ),
        (
            b"PROXY TCP4 192.0.2.7 198.51.100.1 +4711 25\r\n",
            Malformed::Addresses,
        ),
        (
            b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n",
            Malformed::Addresses,
        ),
        (
            b"PROXY TCP4 192.0.2.7 2001:db8::1 4711 25\r\n",
            Malformed::Addresses,
        ),
        (
            b"PROXY TCP6 192.0.2.7 198.51.100.1 4711 25\r\n",
            Malformed::Addresses,
        ),
        (
            b"PROXY UDP4 192.0.2.7 198.51.100.1 4711 25\r\n",
            Malformed::Addresses,
        ),
        (
            b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\nEHLO a\r\n",
            Malformed::Addresses,
        ),
    ] {
        assert_eq!(parse(octets), Err(expected), "{}", octets.escape_ascii());
    }
    for (header, expected) in [
        (version_2(2, 0x11, &FOUR, &[]), Malformed::Kind),
        (version_2(1, 0x41, &FOUR, &[]), Malformed::Kind),
        (version_2(1, 0x13, &FOUR, &[]), Malformed::Kind),
        (version_2(1, 0x11, &FOUR[..11], &[]), Malformed::Addresses),
        (version_2(1, 0x21, &FOUR, &[0; 23]), Malformed::Addresses),
        (version_2(0x11, 0x11, &FOUR, &[]), Malformed::Version),
    ] {
        assert_eq!(parse(&header), Err(expected), "{}", header.escape_ascii());
    }
}

#[test]
fn a_header_ends_within_its_limit() {
    let line = |octets: usize| {
        let mut line = b"PROXY UNKNOWN ".to_vec();
        line.resize(octets - 2, b'x');
        line.extend_from_slice(b"\r\n");
        line
    };
    assert_eq!(client(&line(PROXY_LINE_MAX)), Ok(None));
    assert_eq!(parse(&line(PROXY_LINE_MAX + 1)), Err(Malformed::TooLong));
    let longest = version_2(0, 0, &[], &vec![0; PROXY_HEADER_MAX - FIXED]);
    assert_eq!(client(&longest), Ok(None));
    let longer = version_2(0, 0, &[], &vec![0; PROXY_HEADER_MAX - FIXED + 1]);
    assert_eq!(parse(&longer[..FIXED]), Err(Malformed::TooLong));
}

fn headers() -> impl Strategy<Value = Vec<u8>> {
    let version_1 = (any::<Ipv4Addr>(), any::<Ipv6Addr>(), any::<u16>(), 0..3).prop_map(
        |(four, six, port, kind)| match kind {
            0 => format!("PROXY TCP4 {four} {four} {port} 25\r\n"),
            1 => format!("PROXY TCP6 {six} {six} {port} 25\r\n"),
            _ => format!("PROXY UNKNOWN {port}\r\n"),
        },
    );
    let extensions = proptest::collection::vec(any::<u8>(), 0..300);
    let binary = (extensions, 0..2_u8, any::<bool>()).prop_map(|(extensions, command, is_six)| {
        if is_six {
            version_2(command, 0x21, &six(), &extensions)
        } else {
            version_2(command, 0x11, &FOUR, &extensions)
        }
    });
    prop_oneof![version_1.prop_map(String::into_bytes), binary]
}

proptest! {
    #[test]
    fn a_header_is_the_same_however_it_arrives(
        header in headers(),
        behind in proptest::collection::vec(any::<u8>(), 0..50),
    ) {
        let whole = parse(&header).unwrap().unwrap();
        prop_assert_eq!(whole.octets, header.len());
        for end in 0..header.len() {
            prop_assert_eq!(parse(&header[..end]), Ok(None), "{}", end);
        }
        let all = [header, behind].concat();
        prop_assert_eq!(parse(&all), Ok(Some(whole)));
    }

    #[test]
    fn what_was_said_of_the_beginning_stays_true(
        head in prop_oneof![Just(&b""[..]), Just(&KEYWORD[..]), Just(&b"PROXY TCP4 "[..]), Just(&SIGNATURE[..])],
        tail in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let all = [head, &tail].concat();
        let mut said = Ok(None);
        for end in 0..=all.len() {
            let says = parse(&all[..end]);
            prop_assert!(said == Ok(None) || said == says, "{:?}, then {:?}", said, says);
            said = says;
        }
    }
}
