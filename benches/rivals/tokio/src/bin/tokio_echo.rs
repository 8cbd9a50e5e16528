//! The echo server on tokio: `tokio_echo PORT current|multi`.
//!
//! A task per connection that reads what is there, up to 16 KiB, and writes it back. The buffer is
//! allocated once per connection and, being read into by `read_buf`, never zeroed: a connection
//! that has not spoken yet has touched none of it. The stream is not split: reading and writing
//! alternate, and a whole `TcpStream` does both without an `Arc`.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use tokio_rivals::server;

const BUFFER_BYTES: usize = 16 * 1024;

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    while stream.read_buf(&mut buffer).await? > 0 {
        stream.write_all(&buffer).await?;
        buffer.clear();
    }
    Ok(())
}

async fn serve(listener: TcpListener) {
    loop {
        let stream = server::accept(&listener).await;
        // How a connection ends is its peer's affair.
        tokio::spawn(echo(stream));
    }
}

fn main() {
    server::run(serve);
}
