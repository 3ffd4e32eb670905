use super::*;

fn text(value: &str) -> Vec<u8> {
    let mut out = vec![2 << 5 | u8::try_from(value.len()).expect("short")];
    out.extend(value.as_bytes());
    out
}

fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![7 << 5 | u8::try_from(entries.len()).expect("few")];
    for (name, value) in entries {
        out.extend(text(name));
        out.extend(value);
    }
    out
}

fn short(kind: u8, value: u8) -> Vec<u8> {
    vec![kind << 5 | 1, value]
}

/// The smallest database: one node, which sends the lower half of all addresses to one country and the upper half to
/// another.
fn database(lower: &str, upper: &str) -> Vec<u8> {
    let country = |code: &str| map(&[("country", map(&[("iso_code", text(code))]))]);
    let (first, second) = (country(lower), country(upper));
    let record = |offset: usize| u32::try_from(1 + 16 + offset).expect("small").to_be_bytes()[1..].to_vec();
    let about = map(&[
        ("binary_format_major_version", short(5, 2)),
        ("binary_format_minor_version", short(5, 0)),
        ("build_epoch", vec![1, 2, 1]),
        ("database_type", text("Test-Country")),
        ("description", map(&[])),
        ("ip_version", short(5, 4)),
        ("languages", vec![0, 4]),
        ("node_count", short(6, 1)),
        ("record_size", short(5, 24)),
    ]);
    [record(0), record(first.len()), vec![0; 16], first, second, b"\xab\xcd\xefMaxMind.com".to_vec(), about].concat()
}

fn at(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn addresses_have_countries() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("country.mmdb");
    fs::write(&path, database("AT", "DE")).expect("written");
    let geo = Geo::open(&path).expect("a database");
    assert_eq!(geo.country(at("1.2.3.4")), Some(*b"AT"));
    assert_eq!(geo.country(at("200.2.3.4")), Some(*b"DE"));
    assert_eq!(geo.country(at("::ffff:200.2.3.4")), Some(*b"DE"));
    assert_eq!(geo.country(at("2001:db8::1")), None, "not in a database of the old addresses");
}

#[test]
fn a_new_file_is_taken_up_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("country.mmdb");
    fs::write(&path, database("AT", "DE")).expect("written");
    let geo = Geo::open(&path).expect("a database");
    assert!(!geo.reload(), "nothing has changed");
    fs::write(&path, b"no database").expect("written");
    assert!(!geo.reload());
    assert_eq!(geo.country(at("1.2.3.4")), Some(*b"AT"), "the old one stays");
    fs::write(&path, database("CH", "DE")).expect("written");
    assert!(geo.reload());
    assert_eq!(geo.country(at("1.2.3.4")), Some(*b"CH"));
    fs::remove_file(&path).expect("removed");
    assert!(!geo.reload());
}

#[test]
fn what_is_no_database_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("country.mmdb");
    assert!(matches!(Geo::open(&path), Err(Error::Read { .. })));
    fs::write(&path, b"no database").expect("written");
    let Err(error) = Geo::open(&path) else { panic!("opened nonsense") };
    assert!(matches!(error, Error::Format { .. }) && error.to_string().contains("country.mmdb"));
    // A database of something else: nobody would ever be anywhere.
    let other = database("AT", "DE").windows(8).position(|name| name == b"iso_code").expect("it names countries");
    let mut bytes = database("AT", "DE");
    let second = bytes.windows(8).rposition(|name| name == b"iso_code").expect("it names countries");
    for at in [other, second] {
        bytes[at] = b'x';
    }
    fs::write(&path, bytes).expect("written");
    assert!(matches!(Geo::open(&path), Err(Error::NoCountries { .. })));
}
