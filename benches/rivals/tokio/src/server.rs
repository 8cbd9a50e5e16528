//! The frame of a server: its arguments, its runtime, its listener.

use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::process::exit;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

const BACKLOG: u32 = 4096;

/// Runs `serve` on the runtime and the port that the command line names: `PORT current|multi`.
///
/// The runtimes are tokio's two, with its defaults: the multi-thread one has a worker for every
/// CPU that the process may run on. `serve` is spawned, so that accepting, too, is done on a
/// worker and new connections need not be handed to one by the main thread.
pub fn run<S, F>(serve: S) -> !
where
    S: FnOnce(TcpListener) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut arguments = std::env::args();
    let name = arguments.next().unwrap_or_default();
    let given: Vec<String> = arguments.collect();
    let (port, runtime) = match parse(&given) {
        Some(parsed) => parsed,
        None => {
            eprintln!("usage: {name} PORT current|multi");
            exit(2);
        }
    };
    raise_descriptor_limit();
    let served = runtime.and_then(|runtime| {
        runtime.block_on(async {
            let listener = listen(port)?;
            tokio::spawn(serve(listener)).await.map_err(io::Error::from)
        })
    });
    if let Err(error) = served {
        eprintln!("{name}: {error}");
        exit(1);
    }
    exit(0);
}

/// The next connection. What fails is the peer's affair, or passes once descriptors are free again.
pub async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if stream.set_nodelay(true).is_ok() {
                    return stream;
                }
            }
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

fn parse(given: &[String]) -> Option<(u16, io::Result<Runtime>)> {
    let (port, kind) = match given {
        [port, kind] => (port.parse().ok().filter(|&port| port > 0)?, kind),
        _ => return None,
    };
    let mut builder = match kind.as_str() {
        "current" => Builder::new_current_thread(),
        "multi" => Builder::new_multi_thread(),
        _ => return None,
    };
    Some((port, builder.enable_all().build()))
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    socket.listen(BACKLOG)
}

/// A connection is a descriptor, and the soft limit is often 1024.
fn raise_descriptor_limit() {
    // SAFETY: both calls only read or write the struct they are given.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}
