//! Addresses nobody thought of, judged a second time by other code.
//!
//! The judge is the registry of special networks of IANA as text, read by
//! `ipnet`. Longer: `PROPTEST_CASES=1000000 cargo test -p lovage-pipeline
//! --release --test net any_address`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use lovage_pipeline::net::{PublicAddr, check_url};
use proptest::prelude::*;
use url::{Host, Url};

/// iana-ipv4-special-registry, iana-ipv6-special-registry and the multicast
/// ranges, what is not globally reachable; whatever is allocated to nobody
/// (iana-ipv6-address-space); deprecated relays; and one address of Azure's.
const SPECIAL: &str = "
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12
    192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15
    198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32
    ::/3 2001::/23 2001:db8::/32 3fff::/20 4000::/2 8000::/1
";
/// Where an IPv6 address holds an IPv4 one: network, and the bits before it.
const CARRIERS: &str = "::ffff:0:0/96@96 64:ff9b::/96@96 2002::/16@16";

static NETS: LazyLock<Vec<IpNet>> = LazyLock::new(|| {
    let nets = SPECIAL.split_whitespace();
    nets.map(|net| net.parse().unwrap()).collect()
});
static CARRYING: LazyLock<Vec<(Ipv6Net, u32)>> = LazyLock::new(|| {
    let carriers = CARRIERS.split_whitespace();
    carriers
        .map(|carrier| {
            let (net, before) = carrier.split_once('@').unwrap();
            (net.parse().unwrap(), before.parse().unwrap())
        })
        .collect()
});

fn is_public(ip: IpAddr) -> bool {
    let IpAddr::V6(v6) = ip else {
        return !NETS.iter().any(|net| net.contains(&ip));
    };
    let bits = u128::from(v6);
    let carried = CARRYING
        .iter()
        .find(|(net, _)| net.contains(&v6))
        .map(|(_, before)| Ipv4Addr::from_bits((bits << before >> 96) as u32));
    let tunnels_inside = (bits >> 32) as u32 & !0x0200_0000 == 0x5efe
        && !is_public(IpAddr::V4(Ipv4Addr::from_bits(bits as u32)));
    match carried {
        Some(v4) => !tunnels_inside && is_public(IpAddr::V4(v4)),
        None => !tunnels_inside && !NETS.iter().any(|net| net.contains(&ip)),
    }
}

/// Anywhere, and often at the edge of a special network.
fn v4() -> impl Strategy<Value = Ipv4Addr> {
    let nets: Vec<Ipv4Net> = NETS
        .iter()
        .filter_map(|net| match net {
            IpNet::V4(net) => Some(*net),
            IpNet::V6(_) => None,
        })
        .collect();
    let edge =
        (prop::sample::select(nets), any::<bool>(), -2_i64..=2).prop_map(|(net, last, off)| {
            let at = if last { net.broadcast() } else { net.network() };
            Ipv4Addr::from_bits(i64::from(at.to_bits()).wrapping_add(off) as u32)
        });
    prop_oneof![any::<u32>().prop_map(Ipv4Addr::from_bits), edge]
}

/// Anywhere in the public range or out of it, or with an IPv4 one inside.
fn v6() -> impl Strategy<Value = Ipv6Addr> {
    let heads = vec![
        0,
        0x64_ff9b << 96,
        0x64_ff9b_0001 << 80,
        0xffff << 32,
        0x2001 << 112,
        0x2001_0db8 << 96,
        0x3fff << 112,
        0x2606_4700 << 96,
        0x5efe << 32,
        0x2606_4700_u128 << 96 | 0x5efe << 32,
    ];
    let low = (prop::sample::select(heads), v4())
        .prop_map(|(head, v4)| Ipv6Addr::from_bits(head | u128::from(v4.to_bits())));
    let six_to_four = (v4(), any::<u64>()).prop_map(|(v4, low)| {
        Ipv6Addr::from_bits(0x2002 << 112 | u128::from(v4.to_bits()) << 80 | u128::from(low))
    });
    let unicast = any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits >> 3 | 1 << 125));
    let anywhere = any::<u128>().prop_map(Ipv6Addr::from_bits);
    prop_oneof![low, six_to_four, unicast, anywhere]
}

/// The ways to write an IPv4 address in a URL.
fn written(v4: Ipv4Addr, notation: u8) -> String {
    let [a, b, c, d] = v4.octets();
    match notation % 8 {
        0 => v4.to_string(),
        1 => v4.to_bits().to_string(),
        2 => format!("{:#x}", v4.to_bits()),
        3 => format!("0{:o}.{b:#x}.{c}.{d}", a),
        4 => format!("{a}.{}", v4.to_bits() & 0x00ff_ffff),
        5 => format!("{a}.{b}.{}", v4.to_bits() & 0xffff),
        6 => format!("{a}。{b}．{c}｡{d}."),
        _ => v4
            .to_string()
            .bytes()
            .map(|byte| format!("%{byte:02X}"))
            .collect(),
    }
}

/// What must hold of any text that is an address.
fn holds(text: &str) -> Result<(), TestCaseError> {
    let Ok(url) = Url::parse(text) else {
        return Ok(());
    };
    let again = Url::parse(url.as_str());
    prop_assert_eq!(again.as_ref(), Ok(&url), "printed and read again");
    let checked = check_url(&url);
    prop_assert_eq!(checked.clone(), check_url(&again.unwrap()));
    if checked.is_err() {
        return Ok(());
    }
    prop_assert!(matches!(url.scheme(), "http" | "https"));
    prop_assert!(url.username().is_empty() && url.password().is_none());
    match url.host() {
        Some(Host::Ipv4(ip)) => prop_assert!(is_public(ip.into()), "{ip} of {text:?}"),
        Some(Host::Ipv6(ip)) => prop_assert!(is_public(ip.into()), "{ip} of {text:?}"),
        Some(Host::Domain(name)) => {
            let plain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_' | '.');
            prop_assert!(name.chars().all(plain), "{name:?} of {text:?}");
            prop_assert!(name.contains('.') && !name.contains("..") && name.len() <= 254);
            prop_assert!(name.parse::<IpAddr>().is_err(), "{name} is an IP address");
        }
        None => prop_assert!(false, "{text:?} has no host"),
    }
    Ok(())
}

fn config() -> ProptestConfig {
    ProptestConfig {
        // A failing case is printed; it belongs into the table of addresses.
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_ipv4_address_passes_in_every_notation_or_in_none(v4 in v4(), notation in any::<u8>()) {
        let text = format!("http://{}/", written(v4, notation));
        let url = Url::parse(&text).unwrap();
        prop_assert_eq!(url.host(), Some(Host::Ipv4(v4)));
        prop_assert_eq!(check_url(&url).is_ok(), is_public(v4.into()), "{}", text);
    }

    #[test]
    fn an_ipv6_address_passes_when_the_registry_says_so(v6 in v6()) {
        let url = Url::parse(&format!("https://[{v6}]/")).unwrap();
        prop_assert_eq!(check_url(&url).is_ok(), is_public(v6.into()), "{}", v6);
        prop_assert_eq!(PublicAddr::new(v6.into()).is_ok(), is_public(v6.into()));
    }

    #[test]
    fn any_text_is_judged(text in "\\PC{0,60}") {
        holds(&text)?;
        holds(&format!("http://{text}"))?;
        holds(&format!("https://{text}/"))?;
    }

    #[test]
    fn any_text_that_looks_like_an_address_is_judged(
        text in "(http|https|HTTP|ftp|ws|file)?:?[/\\\\]{0,3}([a-z0-9%:]{0,8}@)?[0-9a-fx.。:%A-F\\[\\]]{1,24}(localhost|\\.local|\\.com|\\.kr|)\\.?(:[0-9]{1,5})?[/?#\\\\@]?[ -~]{0,8}"
    ) {
        holds(&text)?;
    }
}
