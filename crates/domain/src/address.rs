//! Which addresses may be connected to on the way to a provider, by the gateway, by checks of keys, by the client. Pure:
//! the resolver's answers come in, a verdict goes out. Nothing resolves or connects here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address may be connected to. With `allow_private`, an administrator has allowed loopback and private
/// networks for this credential; metadata services, link-local, multicast and unassigned ranges are never allowed.
#[must_use]
pub fn allowed(address: IpAddr, allow_private: bool) -> bool {
    let class = match address {
        IpAddr::V4(v4) => class_of_v4(v4),
        IpAddr::V6(v6) => class_of_v6(v6),
    };
    match class {
        Class::Public => true,
        Class::Private => allow_private,
        Class::Never => false,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Public,
    Private,
    Never,
}

fn class_of_v4(address: Ipv4Addr) -> Class {
    match address.octets() {
        // Metadata and platform services of Azure, Alibaba and Oracle, which sit in ranges that are otherwise fine.
        [168, 63, 129, 16] | [100, 100, 100, 200] | [192, 0, 0, 192] => Class::Never,
        [127, ..] | [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Class::Private,
        // This network; link-local with the metadata services; protocol assignments; documentation; 6to4 relays;
        // benchmarking; multicast, reserved and broadcast.
        [0 | 224..=255, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Class::Never,
        _ => Class::Public,
    }
}

fn class_of_v6(address: Ipv6Addr) -> Class {
    if let Some(v4) = address.to_ipv4_mapped() {
        return class_of_v4(v4);
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Private,
        // The metadata service of AWS, inside a private range.
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254] => Class::Never,
        [0xfc00..=0xfdff, ..] => Class::Private,
        // NAT64: what counts is the address behind it, and it must be public.
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
            match class_of_v4(Ipv4Addr::new(a, b, c, d)) {
                Class::Public => Class::Public,
                Class::Private | Class::Never => Class::Never,
            }
        }
        // Inside 2000::/3: protocol assignments (Teredo among them), documentation, 6to4.
        [0x2001, 0..=0x01ff | 0x0db8, ..] | [0x2002, ..] | [0x3fff, 0..=0x0fff, ..] => Class::Never,
        [0x2000..=0x3fff, ..] => Class::Public,
        _ => Class::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_range_has_its_class() {
        let rows = [
            (
                Class::Public,
                "1.1.1.1 8.8.8.8 172.15.255.255 172.32.0.1 100.63.255.255 100.128.0.1 192.0.1.1 168.63.129.17",
            ),
            (Class::Public, "223.255.255.255 198.17.0.1 198.20.0.1 2606:4700::1111 2a00:1450::1 ::ffff:8.8.8.8"),
            (Class::Public, "64:ff9b::808:808"),
            (Class::Private, "127.0.0.1 127.255.255.255 10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.1.1"),
            (Class::Private, "100.64.0.1 100.127.255.255 ::1 fc00::1 fdff::1 ::ffff:127.0.0.1 ::ffff:10.1.2.3"),
            (Class::Never, "0.0.0.0 0.1.2.3 169.254.169.254 169.254.0.1 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1"),
            (Class::Never, "198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1"),
            (Class::Never, "255.255.255.255 168.63.129.16 100.100.100.200 :: ::2 fe80::1 fec0::1 ff02::1 100::1"),
            (Class::Never, "2001::1 2001:db8::1 2002:7f00:1::1 3fff::1 fd00:ec2::254 ::ffff:169.254.169.254 ::7f00:1"),
            (Class::Never, "64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 4000::1 ::ffff:0:7f00:1"),
        ];
        for (class, addresses) in rows {
            for text in addresses.split(' ') {
                let address: IpAddr = text.parse().expect(text);
                assert_eq!(allowed(address, false), class == Class::Public, "{text}");
                assert_eq!(allowed(address, true), class != Class::Never, "{text} with permission");
            }
        }
    }
}
