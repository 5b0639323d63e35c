//! What each service answers, in the shape of its documentation.

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Canned, Desk, Received};

/// The headline of the page that all know.
const SHARED: &str = "Lumen Bay tidal battery powers the harbour";

/// The documented answer to a request.
pub(super) fn answer(desk: &Desk, request: &Received) -> Canned {
    let service = request.service.as_str();
    let urls = [
        desk.url(&format!("page/{service}")),
        desk.url("page/shared"),
    ];
    let [own, shared] = urls.each_ref().map(String::as_str);
    let found = [
        (
            own,
            format!("Lumen Bay tidal battery: the view of {service}"),
        ),
        (shared, SHARED.to_owned()),
    ];
    let time = desk.now - SignedDuration::from_hours(3);
    let list = |entry: fn(&str, &str, Timestamp) -> Value| -> Vec<Value> {
        let entries = found.iter();
        entries
            .map(|(url, title)| entry(url, title, time))
            .collect()
    };
    let body = match service {
        "gdelt" => json!({ "articles": list(gdelt) }),
        "hacker_news" => json!({ "hits": list(hacker_news), "nbHits": 2, "page": 0 }),
        "searxng" => json!({ "query": "", "results": list(searxng), "unresponsive_engines": [] }),
        "wikipedia" => wikipedia(&found),
        "naver" => json!({ "total": 2, "start": 1, "display": 2, "items": list(naver) }),
        "newsapi" => json!({ "status": "ok", "totalResults": 2, "articles": list(newsapi) }),
        "brave" => json!({ "type": "news", "query": {}, "results": list(brave) }),
        "tavily" => json!({ "query": "", "images": [], "results": list(tavily) }),
        "serper" => json!({ "searchParameters": {}, "news": list(serper) }),
        "google_news" => return google_news(time),
        "feed" => return feed(&found, time),
        "page" => return page(&request.path),
        other => return Canned::of(404, "text/plain", format!("no service {other}")),
    };
    Canned::json(200, body.to_string())
}

fn mail(time: Timestamp) -> String {
    let local = Offset::UTC.to_datetime(time);
    local.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

fn gdelt(url: &str, title: &str, time: Timestamp) -> Value {
    json!({
        "url": url, "url_mobile": "", "title": title,
        "seendate": time.strftime("%Y%m%dT%H%M%SZ").to_string(),
        "socialimage": "", "domain": "127.0.0.1", "language": "English",
        "sourcecountry": "United States",
    })
}

fn hacker_news(url: &str, title: &str, time: Timestamp) -> Value {
    json!({
        "objectID": "1", "title": title, "url": url, "author": "a", "points": 7,
        "num_comments": 2, "created_at": time.to_string(),
        "created_at_i": time.as_second(), "story_text": null,
    })
}

fn searxng(url: &str, title: &str, time: Timestamp) -> Value {
    json!({
        "url": url, "title": title, "content": "What it is about.",
        "publishedDate": time.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
        "img_src": "", "thumbnail": null, "engine": "bing news",
    })
}

fn naver(url: &str, title: &str, time: Timestamp) -> Value {
    json!({
        "title": title.replace("tidal", "<b>tidal</b>"), "originallink": url,
        "link": "https://n.news.naver.com/mnews/article/001/0000000001",
        "description": "&quot;quoted&quot;", "pubDate": mail(time),
    })
}

fn newsapi(url: &str, title: &str, time: Timestamp) -> Value {
    json!({
        "source": { "id": null, "name": "Harbour News" }, "author": null,
        "title": title, "description": "What it is about.", "url": url,
        "urlToImage": null, "publishedAt": time.to_string(), "content": "…",
    })
}

fn brave(url: &str, title: &str, time: Timestamp) -> Value {
    json!({
        "type": "news_result", "url": url, "title": title, "description": "…",
        "age": "3 hours ago",
        "page_age": time.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
        "meta_url": { "hostname": "127.0.0.1" }, "thumbnail": { "src": "" },
    })
}

fn tavily(url: &str, title: &str, time: Timestamp) -> Value {
    json!({
        "title": title, "url": url, "content": "What it is about.", "score": 0.9,
        "published_date": mail(time),
    })
}

fn serper(url: &str, title: &str, _: Timestamp) -> Value {
    json!({
        "title": title, "link": url, "snippet": "What it is about.",
        "date": "3 hours ago", "source": "Harbour News", "imageUrl": "",
    })
}

fn wikipedia(found: &[(&str, String)]) -> Value {
    let item = |(url, title): &(&str, String)| {
        format!(
            r#"<li>{title}. <a rel="nofollow" class="external text" href="{url}">(Reuters)</a></li>"#
        )
    };
    let items: String = found.iter().map(item).collect();
    let text = format!(
        r#"<div class="current-events-content"><ul><li>Energy<ul>{items}</ul></li></ul></div>"#
    );
    json!({ "parse": { "title": "Portal:Current events", "pageid": 1, "text": text } })
}

fn google_news(time: Timestamp) -> Canned {
    let item = format!(
        "<item><title>{SHARED} - Harbour News</title>\
         <link>https://news.google.com/rss/articles/CBMiAA</link><pubDate>{}</pubDate>\
         <source url=\"http://127.0.0.1\">Harbour News</source></item>",
        mail(time)
    );
    rss(&item)
}

fn feed(found: &[(&str, String)], time: Timestamp) -> Canned {
    let item = |(url, title): &(&str, String)| {
        let time = mail(time);
        format!("<item><title>{title}</title><link>{url}</link><pubDate>{time}</pubDate></item>")
    };
    rss(&found.iter().map(item).collect::<String>()).with("etag", "\"1\"")
}

fn rss(items: &str) -> Canned {
    let text = format!(
        "<?xml version=\"1.0\"?><rss version=\"2.0\"><channel><title>News</title>{items}</channel></rss>"
    );
    Canned::of(200, "application/rss+xml", text)
}

/// An article that no other page is a copy of.
fn page(slug: &str) -> Canned {
    let words: String = (1..=40)
        .map(|number| {
            format!(
                "{slug} {} found {number} about the tidal battery. ",
                slug.repeat(number % 5 + 1)
            )
        })
        .collect();
    let body = format!(
        "<!doctype html><html lang=\"en\"><head><title>Lumen Bay: {slug}</title></head>\
         <body><article><h1>Lumen Bay: {slug}</h1><p>{words}</p></article></body></html>"
    );
    Canned::of(200, "text/html; charset=utf-8", body)
}
