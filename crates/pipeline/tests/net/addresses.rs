//! Addresses by the hundred, each with the rule that refuses it.

use lovage_pipeline::net::{PublicAddr, Refusal, check_url};
use url::Url;

use super::url;

/// The rule that refuses an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The URL standard: it is no address at all.
    Parser,
    Scheme,
    Credentials,
    Port,
    Host,
    Address,
    Length,
}

use Rule::{Address, Credentials, Host, Length, Parser, Port, Scheme};

fn rule_of(text: &str) -> Option<Rule> {
    let Ok(url) = Url::parse(text) else {
        return Some(Parser);
    };
    match check_url(&url) {
        Ok(()) => None,
        Err(Refusal::Scheme(_)) => Some(Scheme),
        Err(Refusal::Credentials) => Some(Credentials),
        Err(Refusal::Port(_)) => Some(Port),
        Err(Refusal::Host(_)) => Some(Host),
        Err(Refusal::Address(_)) => Some(Address),
        Err(Refusal::Length) => Some(Length),
        Err(refusal @ Refusal::UnknownPeer) => panic!("{refusal} is of no address"),
    }
}

/// The first and the last of every special range of IPv4, and what lies in it.
const V4: &[&str] = &[
    "0.0.0.0",
    "0.0.0.1",
    "0.255.255.255",
    "10.0.0.0",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.0",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.0",
    "127.0.0.1",
    "127.0.0.53",
    "127.255.255.254",
    "127.255.255.255",
    "169.254.0.0",
    "169.254.255.255",
    "172.16.0.0",
    "172.17.0.1",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.8",
    "192.0.0.170",
    "192.0.0.255",
    "192.0.2.0",
    "192.0.2.255",
    "192.88.99.0",
    "192.88.99.1",
    "192.88.99.255",
    "192.168.0.0",
    "192.168.1.1",
    "192.168.255.255",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.0",
    "198.51.100.255",
    "203.0.113.0",
    "203.0.113.255",
    "224.0.0.0",
    "224.0.0.251",
    "239.255.255.255",
    "240.0.0.0",
    "254.254.254.254",
    "255.255.255.255",
    // Metadata: AWS, Google, Azure, Oracle, DigitalOcean, Hetzner, OpenStack;
    // ECS tasks; Tencent; Oracle's classic; Alibaba; Azure's wire server.
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "169.254.0.23",
    "169.254.169.123",
    "192.0.0.192",
    "100.100.100.200",
    "168.63.129.16",
];

/// Other ways to write addresses of this machine and of private networks.
const NOTATIONS: &[&str] = &[
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0X7F000001",
    "0x7f.1",
    "0x7f.0x0.0x0.0x1",
    "0x7f.0.0.1",
    "017700000001",
    "0177.1",
    "0177.0.0.1",
    "0177.0000.0000.0001",
    "00000177.0.0.1",
    "0",
    "0x0",
    "00",
    "0.0",
    "127.0.0.1.",
    "2130706433.",
    "%31%32%37.0.0.1",
    "127%2E0%2E0%2E1",
    "%30%78%37%66.1",
    "１２７.０.０.１",
    "１２７．０．０．１",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "127．0．0．1",
    "127｡0｡0｡1",
    "１２７。１",
    "𝟏𝟐𝟕.𝟎.𝟎.𝟏",
    "127.0.0.\u{ad}1",
    "127.0.\u{200b}0.1",
    "10.1",
    "167772161",
    "0xa.1",
    "012.0.0.1",
    "192.168.1",
    "192.11010049",
    "0xc0a80001",
    "3232235777",
    "0300.0250.0.1",
    "0xac.0x10.0.1",
    "2886729729",
    "2852039166",
    "0xa9fea9fe",
    "0xA9.254.0251.0xfe",
    "0251.0376.0251.0376",
    "169.16689662",
    "169.254.43518",
    "①⑥⑨.②⑤④.①⑥⑨.②⑤④",
    "0xa83f8110",
    "1684301000",
];

const V6: &[&str] = &[
    "::",
    "::1",
    "0:0:0:0:0:0:0:1",
    "0000:0000:0000:0000:0000:0000:0000:0001",
    "::0.0.0.1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::169.254.169.254",
    // Mapped and translated (SIIT).
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::FFFF:7F00:0001",
    "::ffff:10.0.0.1",
    "::ffff:192.168.0.1",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::ffff:168.63.129.16",
    "::ffff:0.0.0.0",
    "::ffff:0:127.0.0.1",
    "::ffff:0:8.8.8.8",
    // NAT64, the common prefix and the local one.
    "64:ff9b::10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::169.254.169.254",
    "64:ff9b::168.63.129.16",
    "64:ff9b:0:0:1::1.1.1.1",
    "64:ff9b:1::",
    "64:ff9b:1::1",
    "64:ff9b:1::8.8.8.8",
    "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
    // 6to4.
    "2002::",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:c0a8:101::1",
    "2002:a9fe:a9fe::",
    "2002:e000:1::",
    // Teredo.
    "2001::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:0:ffff:ffff:ffff:ffff:ffff:ffff",
    // ISATAP, with the universal bit and without.
    "2606:4700::5efe:10.0.0.1",
    "2606:4700::200:5efe:192.168.0.1",
    "2a00:1450:4001:1:0:5efe:7f00:1",
    "fe80::5efe:10.0.0.1",
    // Protocol assignments, benchmarking, ORCHID, documentation, dummy, SRv6.
    "2001:1::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db8::",
    "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
    "3fff::1",
    "3fff:fff:ffff::1",
    "100::1",
    "100::ffff:ffff:ffff:ffff",
    "100:0:0:1::1",
    "5f00::1",
    // Unique local, link-local, site-local, multicast.
    "fc00::",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fd12:3456:789a::1",
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fe80::",
    "fe80::1",
    "febf:ffff::1",
    "fec0::1",
    "feff::1",
    "ff00::",
    "ff02::1",
    "ff02::fb",
    "ff0e::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    // Not allocated to anybody.
    "1::1",
    "1fff:ffff::1",
    "4000::1",
    "8000::1",
];

const HOSTS: &[&str] = &[
    "localhost",
    "LOCALHOST",
    "localhost.",
    "ｌｏｃａｌｈｏｓｔ",
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    "loc\u{ad}alhost",
    "local\u{200b}host",
    "%6cocalhost",
    "a.localhost",
    "a.b.localhost.",
    "localhost.localdomain",
    "localhost6.localdomain6.local",
    // The same letters of another alphabet are another name: one without a dot.
    "lοcalhost",
    "ⅼocalhost",
    // Names of private networks.
    "printer.local",
    "PRINTER.LOCAL.",
    "printer。local",
    "printer．local",
    "printer｡local",
    "db.internal",
    "DB.INTERNAL.",
    "wiki.intranet",
    "files.private",
    "mail.corp",
    "tv.home",
    "nas.lan",
    "router.home.arpa",
    "hidden.onion",
    "wallet.alt",
    "site.test",
    "nothing.invalid",
    "local",
    "internal.",
    "redis",
    "redis.",
    "metadata",
    "instance-data",
    "kubernetes",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    // Metadata services by name.
    "metadata.google.internal",
    "METADATA.GOOGLE.INTERNAL.",
    "instance-data.ec2.internal",
    "metadata.azure.internal",
    "169.254.169.254.internal",
    // Not the form of a host name.
    "a..example.com",
    ".example.com",
    "example.com..",
    "a!b.example.com",
    "a$b.example.com",
    "a*b.example.com",
    "a(b).example.com",
    "a;b.example.com",
    "a=b.example.com",
    "a,b.example.com",
    "a~b.example.com",
    "\"a\".example.com",
    "a{b}.example.com",
];

/// What is refused as a whole.
const WHOLE: &[(&str, Rule)] = &[
    // Credentials, and what looks like them.
    ("http://user@example.com/", Credentials),
    ("http://user:secret@example.com/", Credentials),
    ("http://:secret@example.com/", Credentials),
    ("http://example.com@127.0.0.1/", Credentials),
    ("http://example.com:80@127.0.0.1/", Credentials),
    ("http://127.0.0.1@example.com/", Credentials),
    ("http://example.com%2f@127.0.0.1/", Credentials),
    ("http://a@b@127.0.0.1/", Credentials),
    ("http://example.com%00@127.0.0.1/", Credentials),
    ("https://example.com&@127.0.0.1#@example.org/", Credentials),
    // Where one program sees a path, another sees a host.
    (r"http:\\127.0.0.1\", Address),
    (r"http:\127.0.0.1", Address),
    (r"http:/\127.0.0.1", Address),
    (r"http:/\/\127.0.0.1", Address),
    (r"http://127.0.0.1\.example.com/", Address),
    (r"http://127.0.0.1\@example.com/", Address),
    ("http:127.0.0.1", Address),
    ("http:/127.0.0.1", Address),
    ("http:////127.0.0.1", Address),
    ("http://127.0.0.1#@example.com/", Address),
    ("http://127.0.0.1?@example.com/", Address),
    ("http://127.0.0.1/@example.com/", Address),
    ("http://127.0.0.1;@example.com", Credentials),
    ("HTTP://127.0.0.1/", Address),
    ("  http://127.0.0.1/  ", Address),
    ("ht\ttp://127.0.0.1/", Address),
    ("http://127.0.\n0.1/", Address),
    ("http://127.\r\n0.0.1/", Address),
    ("\u{0}http://127.0.0.1/", Address),
    ("http://local\thost/", Host),
    ("http://127.0.0.1\t:8080/", Address),
    // What no address is.
    ("http://127.0.0.1%00.example.com/", Parser),
    ("http://127.0.0.1 .example.com/", Parser),
    ("http://256.0.0.1/", Parser),
    ("http://1.2.3.4.5/", Parser),
    ("http://0x100000000/", Parser),
    ("http://4294967296/", Parser),
    ("http://127.0.0.1.0x/", Parser),
    ("http://09.0.0.1/", Parser),
    ("http://[fe80::1%25eth0]/", Parser),
    ("http://[fe80::1%eth0]/", Parser),
    ("http://[::1%lo]/", Parser),
    ("http://[::1/", Parser),
    ("http://[::1]x/", Parser),
    ("http://[127.0.0.1]/", Parser),
    ("http://[::ffff:127.0.0.1.5]/", Parser),
    ("http://[::ffff:256.0.0.1]/", Parser),
    ("http://::1/", Parser),
    ("http://exa mple.com/", Parser),
    ("http://exa<mple.com/", Parser),
    ("http://a%zz.example.com/", Parser),
    ("http://xn--a/", Parser),
    ("http://xn--redis-/", Parser),
    ("http:///", Parser),
    ("http://:80/", Parser),
    ("http://example.com:99999/", Parser),
    ("http://example.com:http/", Parser),
    ("//127.0.0.1/", Parser),
    ("/etc/passwd", Parser),
    ("", Parser),
    // Ports.
    ("http://example.com:0/", Port),
    ("http://example.com:1/", Port),
    ("http://example.com:22/", Port),
    ("http://example.com:25/", Port),
    ("http://example.com:81/", Port),
    ("http://example.com:2375/", Port),
    ("http://example.com:3306/", Port),
    ("http://example.com:5432/", Port),
    ("http://example.com:6379/", Port),
    ("http://example.com:8081/", Port),
    ("https://example.com:9200/", Port),
    ("http://example.com:11211/", Port),
    ("http://example.com:65535/", Port),
    ("http://127.0.0.1:6379/", Port),
    ("http://127.0.0.1:8080/", Address),
    ("https://127.0.0.1:8443/", Address),
    ("http://redis:8080/", Host),
    // Schemes.
    ("file:///etc/passwd", Scheme),
    ("file://example.com/etc/passwd", Scheme),
    ("file:/etc/passwd", Scheme),
    ("FILE:///etc/passwd", Scheme),
    ("ftp://example.com/", Scheme),
    ("gopher://example.com:6379/_FLUSHALL", Scheme),
    ("dict://example.com:11211/stat", Scheme),
    ("ldap://example.com/", Scheme),
    ("tftp://example.com/x", Scheme),
    ("sftp://example.com/", Scheme),
    ("ssh://example.com/", Scheme),
    ("jar:http://example.com!/", Scheme),
    ("netdoc:///etc/passwd", Scheme),
    ("data:text/html,x", Scheme),
    ("data:text/html;base64,PHNjcmlwdD4=", Scheme),
    ("javascript:alert(1)", Scheme),
    ("java\nscript:alert(1)", Scheme),
    ("vbscript:x", Scheme),
    ("blob:https://example.com/1", Scheme),
    ("about:blank", Scheme),
    ("view-source:http://example.com/", Scheme),
    ("ws://example.com/", Scheme),
    ("wss://example.com/", Scheme),
    ("mailto:a@example.com", Scheme),
    ("unix:/var/run/docker.sock", Scheme),
    ("http+unix://%2Fvar%2Frun%2Fdocker.sock/info", Scheme),
    ("httpx://example.com/", Scheme),
];

const PUBLIC: &[&str] = &[
    "http://example.com/",
    "https://www.example.co.kr:443/news?id=1#top",
    "http://example.com:8080/",
    "https://example.com:8443/",
    "https://example.com./",
    "https://한국.example.com/",
    "https://뉴스.한국/기사/1",
    "https://bücher.example.com/",
    "https://xn--bcher-kva.example.com/",
    "https://local.example.com/",
    "https://localhost.example.com/",
    "https://internal.example.com/",
    "https://127.0.0.1.example.com/",
    "https://notlocalhost.com/",
    "https://mylocal.news/",
    "https://a_b.example.com/",
    "https://n.news.naver.com/mnews/article/001/0015000000?sid=102",
    "https://www.bbc.co.uk/news/articles/c0000000000o",
    "https://example.com/?next=http://127.0.0.1/",
    "https://example.com/@user",
    // A backslash begins the path, for the guard and for the client alike.
    r"http://example.com\@127.0.0.1\",
    "https://example.com/a%2f..%2fb",
    "http://1.1.1.1/",
    "http://8.8.8.8/",
    "http://134744072/",
    "http://1.0.0.0/",
    "http://9.255.255.255/",
    "http://11.0.0.0/",
    "http://100.63.255.255/",
    "http://100.128.0.1/",
    "http://126.255.255.255/",
    "http://128.0.0.0/",
    "http://168.63.129.15/",
    "http://168.63.129.17/",
    "http://169.253.255.255/",
    "http://169.255.0.0/",
    "http://172.15.0.1/",
    "http://172.32.0.1/",
    "http://191.255.255.255/",
    "http://192.0.1.0/",
    "http://192.0.3.0/",
    "http://192.88.98.255/",
    "http://192.88.100.0/",
    "http://192.167.255.255/",
    "http://192.169.0.0/",
    "http://198.17.255.255/",
    "http://198.20.0.0/",
    "http://198.51.99.255/",
    "http://198.51.101.0/",
    "http://203.0.112.255/",
    "http://203.0.114.0/",
    "http://223.255.255.255/",
    "http://[2606:4700:4700::1111]/",
    "http://[2001:4860:4860::8888]/",
    "http://[2001:200::1]/",
    "http://[2a00:1450:4001:81b::200e]:8080/",
    "http://[2002:101:101::1]/",
    "http://[64:ff9b::1.1.1.1]/",
    "http://[::ffff:1.1.1.1]/",
    "http://[2606:4700::5efe:1.1.1.1]/",
];

/// Every hostile address with its rule.
fn hostile() -> Vec<(String, Rule)> {
    let at = |host: &str| format!("http://{host}/");
    let v4 = V4.iter().chain(NOTATIONS).map(|ip| (at(ip), Address));
    let v6 = V6.iter().map(|ip| (at(&format!("[{ip}]")), Address));
    let hosts = HOSTS.iter().map(|name| (at(name), Host));
    let whole = WHOLE.iter().map(|(text, rule)| ((*text).to_owned(), *rule));
    let label = "a".repeat(64);
    let name = vec!["abcdefgh"; 29].join(".");
    let long = [
        (at(&format!("{label}.example.com")), Host),
        (at(&format!("{name}.com")), Host),
        (format!("http://example.com/{}", "a".repeat(3_000)), Length),
        (format!("http://example.com/?{}", "가".repeat(300)), Length),
    ];
    v4.chain(v6).chain(hosts).chain(whole).chain(long).collect()
}

#[test]
fn hostile_addresses_are_refused_by_their_rule() {
    let hostile = hostile();
    assert!(hostile.len() >= 200, "{}", hostile.len());
    let wrong: Vec<String> = hostile
        .iter()
        .filter(|(text, rule)| rule_of(text) != Some(*rule))
        .map(|(text, rule)| format!("{text:?}: {rule:?}, but {:?}", rule_of(text)))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_hostile_address_is_listed_twice() {
    let mut listed: Vec<String> = hostile().into_iter().map(|(text, _)| text).collect();
    let all = listed.len();
    listed.sort();
    listed.dedup();
    assert_eq!(listed.len(), all);
}

#[test]
fn public_addresses_pass() {
    for text in PUBLIC {
        assert_eq!(check_url(&url(text)), Ok(()), "{text}");
    }
}

#[test]
fn a_public_addr_cannot_be_made_of_a_private_one() {
    let made = |text: &str| PublicAddr::new(text.parse().unwrap());
    assert_eq!(
        made("1.1.1.1").map(PublicAddr::ip),
        Ok("1.1.1.1".parse().unwrap())
    );
    for ip in V4.iter().chain(V6) {
        assert!(made(ip).is_err(), "{ip}");
    }
}
