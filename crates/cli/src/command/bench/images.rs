//! Ten images from a server that takes two seconds for each, by the way a job
//! takes: fetched, checked, shrunk; one, five and ten at a time.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use lovage_pipeline::image;
use lovage_pipeline::net::{ClientSettings, CorpusFetcher, Fetch, GuardedClient, Origin, Want};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use url::Url;

use super::report::{Download, Figure, Lanes, Report};
use super::say;
use crate::args::Section;
use crate::exit::{self, Exit};

/// Images of one run: as many as a job takes.
const IMAGES: usize = image::limits::IMAGES_MAX;
/// What the server takes for one.
const LATENCY: Duration = Duration::from_secs(2);
/// Downloads at a time, each with the seconds it should take at most; one at a
/// time is what the others are compared with.
const RUNS: [(usize, Option<f64>); 3] = [(1, None), (5, Some(4.2)), (10, Some(2.2))];
/// Bytes of a request's head; ours are shorter.
const HEAD_BYTES_MAX: usize = 4_096;

pub(super) async fn measure(report: &mut Report) -> Result<(), Exit> {
    let chart = CorpusFetcher::images().remove(0);
    let chart = CorpusFetcher.get(&chart, Want::Image).await;
    let chart = chart.map_err(|error| Exit::because("the sample has no image", &error))?;
    for (at_once, target) in RUNS {
        say(&format!("images: {at_once} at a time"));
        let (kept, downloads) = run(at_once, chart.body.to_vec()).await?;
        let arrived = downloads.iter().map(|download| download.end_s);
        let arrived = arrived.fold(0.0, f64::max);
        let rounds = IMAGES.div_ceil(at_once);
        let name = format!("{IMAGES} images, {at_once} at a time, arrived");
        let figure = Figure::new(name, arrived, "s");
        let figure = match target {
            Some(most) => figure.at_most(most),
            None => figure,
        };
        report.add(Section::Images, figure);
        let ideal = rounds as f64 * LATENCY.as_secs_f64();
        let name = format!("{IMAGES} images, {at_once} at a time, arrived, checked, drawn anew");
        let floor = format!("{rounds} times {} s", LATENCY.as_secs());
        let figure = Figure::new(name, kept.as_secs_f64(), "s").beside(floor, ideal);
        report.add(Section::Images, figure);
        report.lanes.push(Lanes::new(at_once, downloads));
    }
    Ok(())
}

/// How long it took until all could be kept, and when the server answered each.
async fn run(at_once: usize, body: Vec<u8>) -> Result<(Duration, Vec<Download>), Exit> {
    let broken = |error| Exit::because("cannot serve images", &error);
    let begun = Instant::now();
    let server = Server::start(begun, body).await.map_err(broken)?;
    let settings = ClientSettings {
        trusted_hosts: vec![server.address.to_string()],
        downloads: at_once,
        ..ClientSettings::new("bench@localhost")
    };
    let client = GuardedClient::new(&settings)
        .map_err(|error| Exit::because("the images cannot be fetched", &error))?;
    let urls = (1..=IMAGES).map(|number| server.url(number));
    let urls = urls.collect::<Result<Vec<_>, _>>()?;
    let fetched = join_all(
        urls.iter()
            .map(|url| image::fetch(&client, url, Origin::Operator)),
    )
    .await;
    let took = begun.elapsed();
    for image in fetched {
        image.map_err(|error| Exit::because("an image did not arrive", &error))?;
    }
    Ok((took, server.downloads()))
}

/// A server of images on loopback. It ends when this is dropped.
struct Server {
    address: SocketAddr,
    log: Arc<Mutex<Vec<Download>>>,
    _connections: JoinSet<()>,
}

impl Server {
    async fn start(begun: Instant, body: Vec<u8>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let log: Arc<Mutex<Vec<Download>>> = Arc::default();
        let (body, kept): (Arc<[u8]>, _) = (body.into(), Arc::clone(&log));
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (body, log) = (Arc::clone(&body), Arc::clone(&kept));
                open.spawn(async move {
                    // A caller that goes away is counted by the caller.
                    let _ = serve(stream, &body, begun, &log).await;
                });
            }
        });
        Ok(Self {
            address,
            log,
            _connections: accepting,
        })
    }

    fn url(&self, number: usize) -> Result<Url, Exit> {
        let url = format!("http://{}/{number}.png", self.address);
        url.parse()
            .map_err(|_| Exit::new(exit::ERROR, format!("{url} is no address")))
    }

    fn downloads(&self) -> Vec<Download> {
        let mut log = self
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        log.sort_by(|a, b| a.begin_s.total_cmp(&b.begin_s));
        log
    }
}

/// Answers the requests of one connection, each after its time.
async fn serve(
    mut stream: TcpStream,
    body: &[u8],
    begun: Instant,
    log: &Mutex<Vec<Download>>,
) -> io::Result<()> {
    while read_head(&mut stream).await? {
        let begin_s = begun.elapsed().as_secs_f64();
        tokio::time::sleep(LATENCY).await;
        let end_s = begun.elapsed().as_secs_f64();
        log.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Download { begin_s, end_s });
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await?;
    }
    Ok(())
}

/// Reads up to the empty line; nothing more comes when the caller is done.
async fn read_head(stream: &mut TcpStream) -> io::Result<bool> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(false);
        }
        if head.len() > HEAD_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(true)
}
