//! Country databases of the moment, in MaxMind's format: a search tree over the bits of an address, a data section, and
//! metadata at the end. IPv4 networks stand where the format puts them, below `::/96`.

use std::{collections::BTreeMap, net::IpAddr};

/// What stands before the metadata.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// The zeros between tree and data.
const GAP: usize = 16;
/// Bits of an address in the tree.
const BITS: u32 = 128;
/// Where the bits of an IPv4 address begin in it.
const OLD: u32 = 96;

/// Networks and the countries they are in.
#[derive(Debug, Clone, Default)]
pub struct Countries {
    /// By length first, so that a network within another one comes after it.
    networks: BTreeMap<(u32, u128), String>,
}

/// What a bit leads to.
#[derive(Debug, Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Country(usize),
}

impl Countries {
    /// The same with a network, such as `192.0.2.0/24`, that is in a country. A network within another one counts more.
    ///
    /// # Panics
    /// When the text is no network.
    #[must_use]
    pub fn with(mut self, network: &str, country: &str) -> Self {
        let (address, length) = network.split_once('/').expect("a network is written with its length");
        let length: u32 = length.parse().expect("a length is a number");
        let (bits, length) = match address.parse().expect("a network begins with an address") {
            IpAddr::V4(address) => (u128::from(u32::from(address)), OLD + length),
            IpAddr::V6(address) => (u128::from(address), length),
        };
        self.networks.insert((length, bits), country.to_owned());
        self
    }

    /// The database.
    ///
    /// # Panics
    /// When there are more networks than the short form of the format can count.
    #[must_use]
    pub fn database(&self) -> Vec<u8> {
        let mut tree = vec![[Record::Nothing; 2]];
        let mut data = Vec::new();
        for ((length, bits), country) in &self.networks {
            let at = data.len();
            data.extend(map(&[("country", map(&[("iso_code", text(country))]))]));
            place(&mut tree, *bits, *length, at);
        }
        let nodes = tree.len();
        let number = |record: &Record| match *record {
            Record::Nothing => nodes,
            Record::Node(node) => node,
            Record::Country(at) => nodes + GAP + at,
        };
        let mut all = Vec::new();
        for record in tree.iter().flatten() {
            let number = u32::try_from(number(record)).expect("a small database");
            assert!(number < 1 << 24, "records of 24 bits count no further");
            all.extend_from_slice(&number.to_be_bytes()[1..]);
        }
        all.extend([0; GAP]);
        all.extend(data);
        all.extend_from_slice(MARKER);
        all.extend(about(u32::try_from(nodes).expect("a small database")));
        all
    }
}

/// Makes the tree lead from a network's bits to its country.
fn place(tree: &mut Vec<[Record; 2]>, bits: u128, length: u32, country: usize) {
    let side = |depth: u32| usize::from(bits >> (BITS - 1 - depth) & 1 == 1);
    let mut node = 0;
    for depth in 0..length - 1 {
        node = match tree[node][side(depth)] {
            Record::Node(next) => next,
            // What held for the whole network goes on to hold for both halves.
            wider => {
                tree.push([wider; 2]);
                let next = tree.len() - 1;
                tree[node][side(depth)] = Record::Node(next);
                next
            }
        };
    }
    tree[node][side(length - 1)] = Record::Country(country);
}

fn about(nodes: u32) -> Vec<u8> {
    map(&[
        ("binary_format_major_version", vec![5 << 5 | 1, 2]),
        ("binary_format_minor_version", vec![5 << 5]),
        // Kinds beyond the seventh are told by a byte of their own: here a number of 64 bits, and a list.
        ("build_epoch", vec![1, 2, 1]),
        ("database_type", text("Test-Country")),
        ("description", map(&[])),
        ("ip_version", vec![5 << 5 | 1, 6]),
        ("languages", vec![0, 4]),
        ("node_count", [&[6 << 5 | 4][..], &nodes.to_be_bytes()].concat()),
        ("record_size", vec![5 << 5 | 1, 24]),
    ])
}

fn text(value: &str) -> Vec<u8> {
    let length = u8::try_from(value.len()).ok().filter(|length| *length < 29).expect("a short text");
    [&[2 << 5 | length][..], value.as_bytes()].concat()
}

fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![7 << 5 | u8::try_from(entries.len()).expect("few entries")];
    for (name, value) in entries {
        out.extend(text(name));
        out.extend(value);
    }
    out
}
