//! The pub/sub server on tokio, written straight from its tutorial:
//! `tokio_pubsub_broadcast PORT current|multi`.
//!
//! It speaks the protocol of `protocol.rs` and is what most would write first: a
//! `tokio::sync::broadcast` per channel, a task per connection, `lines()` in, one `write_all` per
//! message out. A message is allocated once, as `Bytes`, and shared by all subscribers.
//!
//! `lines()` has no limit and takes a bare LF for an end, too, so this server is more lenient than
//! the other. A broadcast does not hold publishers back: who falls behind by more than its
//! capacity has lost messages, and as this protocol has no word for that, its connection is
//! closed. The capacity is thrice what five publishers with 64 messages each on their way can put
//! into it; a larger one would be slower, as every slot is written in turn, and they would no
//! longer stay in the cache.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;

use tokio_rivals::protocol::{self, Greeting, OK};
use tokio_rivals::server;

const CAPACITY: usize = 1024;

type Channel = broadcast::Sender<Bytes>;
type Hub = Arc<Mutex<HashMap<String, Channel>>>;
type Input = Lines<BufReader<OwnedReadHalf>>;

fn open(hub: &Hub, name: &str) -> Channel {
    let mut channels = hub.lock().unwrap();
    let channel = channels.entry(name.to_owned());
    channel
        .or_insert_with(|| broadcast::channel(CAPACITY).0)
        .clone()
}

async fn publish(mut input: Input, channel: Channel) -> io::Result<()> {
    while let Some(mut line) = input.next_line().await? {
        if line == "BYE" {
            break;
        }
        line.push_str("\r\n");
        let _ = channel.send(line.into()); // fails when nobody listens
    }
    Ok(())
}

async fn subscribe(
    mut input: Input,
    mut output: OwnedWriteHalf,
    mut messages: broadcast::Receiver<Bytes>,
) -> io::Result<()> {
    loop {
        tokio::select! {
            message = messages.recv() => match message {
                Ok(message) => output.write_all(&message).await?,
                Err(_) => return Ok(()), // it has fallen behind
            },
            // A subscriber says nothing but BYE.
            _ = input.next_line() => return Ok(()),
        }
    }
}

async fn converse(stream: TcpStream, hub: Hub) -> io::Result<()> {
    let (input, mut output) = stream.into_split();
    let mut input = BufReader::new(input).lines();
    let greeting = match input.next_line().await? {
        Some(line) => line,
        None => return Ok(()),
    };
    match protocol::read_greeting(greeting.as_bytes()) {
        Greeting::Publish(name) => {
            output.write_all(OK).await?;
            publish(input, open(&hub, name)).await
        }
        Greeting::Subscribe(name) => {
            let messages = open(&hub, name).subscribe();
            output.write_all(OK).await?;
            subscribe(input, output, messages).await
        }
        Greeting::Bye => Ok(()),
        Greeting::Wrong(why) => {
            output
                .write_all(format!("ERROR {why}\r\n").as_bytes())
                .await
        }
    }
}

async fn serve(listener: TcpListener) {
    let hub = Hub::default();
    loop {
        let stream = server::accept(&listener).await;
        // How a connection ends is its peer's affair.
        tokio::spawn(converse(stream, hub.clone()));
    }
}

fn main() {
    server::run(serve);
}
