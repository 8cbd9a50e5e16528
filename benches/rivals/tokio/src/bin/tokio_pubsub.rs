//! The pub/sub server on tokio, made to be fast: `tokio_pubsub PORT current|multi`.
//!
//! It speaks the protocol of `protocol.rs`, loses nothing and never holds more than a bounded
//! queue per subscriber: a publisher waits while one of its subscribers' queues is full, and TCP
//! passes that on.
//!
//! What makes it good: the lines that one read brought are passed on as one `Bytes`, so that a
//! delivery is a reference, and copies and allocates nothing; a subscriber is a task with a queue,
//! so that the publisher never writes to a socket; and that task takes all that has gathered in
//! its queue and sends it with one vectored write. Publishers share a channel's list of
//! subscribers under a lock that is never held across an await.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::timeout;

use tokio_rivals::protocol::{self, Greeting, Then, LINE_BYTES_MAX, NO_END, OK, TOO_LONG};
use tokio_rivals::server;

/// How many reads of publishers wait for one subscriber at most.
const QUEUE_MAX: usize = 256;
/// How many of them leave in one write.
const BATCH_MAX: usize = 64;
/// Messages are slices of blocks of this size, and a read has room for at least `READ_BYTES_MIN`.
const BLOCK_BYTES: usize = 64 * 1024;
const READ_BYTES_MIN: usize = 16 * 1024;
const GREETING_TIME_MAX: Duration = Duration::from_secs(30);
const GOODBYE_TIME_MAX: Duration = Duration::from_secs(2);

type Queue = mpsc::Sender<Bytes>;

/// Who listens.
#[derive(Default)]
struct Channel {
    subscribers: Mutex<Vec<(u64, Queue)>>,
}

impl Channel {
    /// Passes messages on to all subscribers; waits for those whose queue is full.
    async fn publish(&self, messages: Bytes) {
        for queue in self.offer(&messages) {
            // One that has left meanwhile needs nothing.
            let _ = queue.send(messages.clone()).await;
        }
    }

    /// Passes messages on to those who have room for them; returns the queues of the others.
    fn offer(&self, messages: &Bytes) -> Vec<Queue> {
        let mut full = Vec::new();
        for (_, queue) in self.subscribers.lock().unwrap().iter() {
            if let Err(TrySendError::Full(_)) = queue.try_send(messages.clone()) {
                full.push(queue.clone());
            }
        }
        full
    }
}

/// A place in a channel; left when this is dropped.
struct Subscription {
    channel: Arc<Channel>,
    id: u64,
}

impl Subscription {
    fn new(channel: Arc<Channel>, queue: Queue) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        channel.subscribers.lock().unwrap().push((id, queue));
        Self { channel, id }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut subscribers = self.channel.subscribers.lock().unwrap();
        subscribers.retain(|(id, _)| *id != self.id);
    }
}

/// The channels that somebody uses.
#[derive(Default)]
struct Hub {
    channels: Mutex<HashMap<String, Weak<Channel>>>,
}

impl Hub {
    fn open(&self, name: &str) -> Arc<Channel> {
        let mut channels = self.channels.lock().unwrap();
        if let Some(channel) = channels.get(name).and_then(Weak::upgrade) {
            return channel;
        }
        channels.retain(|_, channel| channel.strong_count() > 0);
        let channel = Arc::new(Channel::default());
        channels.insert(name.to_owned(), Arc::downgrade(&channel));
        channel
    }
}

/// Why a conversation ended: `Ok` when one side wanted it, else what the peer is told.
type Ended = Result<(), &'static str>;

/// Reads more; returns false at the end of the stream. A lost connection is an end, too.
async fn fill<R: AsyncRead + Unpin>(from: &mut R, input: &mut BytesMut) -> bool {
    if input.capacity() - input.len() < READ_BYTES_MIN {
        input.reserve(BLOCK_BYTES); // takes the old block again if nothing refers to it
    }
    matches!(from.read_buf(input).await, Ok(count) if count > 0)
}

/// Reads a line; `None` at the end of the stream.
async fn read_line<R>(from: &mut R, input: &mut BytesMut) -> Result<Option<Bytes>, &'static str>
where
    R: AsyncRead + Unpin,
{
    loop {
        if let Some(end) = memchr(b'\n', input) {
            let line = input.split_to(end + 1).freeze();
            return match line.strip_suffix(b"\r\n") {
                Some(text) => Ok(Some(line.slice(..text.len()))),
                None => Err("a line ends with CRLF"),
            };
        }
        if input.len() >= LINE_BYTES_MAX {
            return Err(TOO_LONG);
        }
        if !fill(from, input).await {
            return if input.is_empty() {
                Ok(None)
            } else {
                Err(NO_END)
            };
        }
    }
}

/// Takes messages until BYE or the end.
async fn publish(stream: &mut TcpStream, input: &mut BytesMut, channel: &Channel) -> Ended {
    if stream.write_all(OK).await.is_err() {
        return Ok(());
    }
    loop {
        let found = protocol::read_messages(input);
        if found.bytes > 0 {
            channel.publish(input.split_to(found.bytes).freeze()).await;
        }
        match found.then {
            Then::More => {}
            Then::Bye => return Ok(()),
            Then::Wrong(why) => return Err(why),
        }
        if !fill(stream, input).await {
            return if input.is_empty() {
                Ok(())
            } else {
                Err(NO_END)
            };
        }
    }
}

/// A subscriber has nothing to say but BYE.
async fn listen_to(from: &mut OwnedReadHalf, input: &mut BytesMut) -> Ended {
    match read_line(from, input).await? {
        None => Ok(()),
        Some(line) if line.as_ref() == b"BYE" => Ok(()),
        Some(_) => Err("a subscriber does not talk"),
    }
}

/// Sends what comes until nobody can send more.
async fn deliver(mut queue: mpsc::Receiver<Bytes>, to: &mut OwnedWriteHalf) -> io::Result<()> {
    let mut batch = VecDeque::with_capacity(BATCH_MAX);
    while let Some(messages) = queue.recv().await {
        batch.push_back(messages);
        while batch.len() < BATCH_MAX {
            match queue.try_recv() {
                Ok(messages) => batch.push_back(messages),
                Err(_) => break,
            }
        }
        write_batch(to, &mut batch).await?;
    }
    Ok(())
}

async fn write_batch(to: &mut OwnedWriteHalf, batch: &mut VecDeque<Bytes>) -> io::Result<()> {
    while !batch.is_empty() {
        let mut written = if batch.len() == 1 {
            to.write(&batch[0]).await?
        } else {
            let mut slices = [IoSlice::new(&[]); BATCH_MAX];
            for (slice, messages) in slices.iter_mut().zip(batch.iter()) {
                *slice = IoSlice::new(messages);
            }
            to.write_vectored(&slices[..batch.len()]).await?
        };
        while let Some(messages) = batch.front_mut() {
            if written < messages.len() {
                messages.advance(written);
                break;
            }
            written -= messages.len();
            batch.pop_front();
        }
    }
    Ok(())
}

/// Sends messages until the subscriber says BYE or goes; what it has been sent by then still
/// leaves, unless it does not take it.
async fn subscribe(stream: TcpStream, mut input: BytesMut, channel: Arc<Channel>) {
    let (mut from, mut to) = stream.into_split();
    let (queue, messages) = mpsc::channel(QUEUE_MAX);
    let _ = queue.try_send(Bytes::from_static(OK)); // it is the first there
    let place = Subscription::new(channel, queue);
    let mut writer = tokio::spawn(async move {
        let delivered = deliver(messages, &mut to).await;
        delivered.map(|()| to)
    });
    let ended = listen_to(&mut from, &mut input).await;
    drop(place);
    match timeout(GOODBYE_TIME_MAX, &mut writer).await {
        Ok(Ok(Ok(mut to))) => part(&mut from, &mut to, ended).await,
        Ok(_) => {}
        Err(_) => writer.abort(),
    }
}

/// Parts from the peer, which may be slow about it.
async fn part<R, W>(from: &mut R, to: &mut W, ended: Ended)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let _ = timeout(GOODBYE_TIME_MAX, say_goodbye(from, to, ended)).await;
}

/// Says why, and reads on until the peer has closed, too: to close while something from it is
/// unread would be a reset, which takes our last words away from it.
// One lifetime for both: rustc 1.63, which Debian 12 has, rejects two in this signature.
async fn say_goodbye<'a, R, W>(from: &'a mut R, to: &'a mut W, ended: Ended) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    if let Err(why) = ended {
        let words = format!("ERROR {why}\r\n");
        to.write_all(words.as_bytes()).await?;
    }
    to.shutdown().await?;
    let mut ignored = [0; 4096];
    while from.read(&mut ignored).await? > 0 {}
    Ok(())
}

/// A connection from its greeting to its end.
async fn converse(mut stream: TcpStream, hub: Arc<Hub>) {
    let mut input = BytesMut::with_capacity(READ_BYTES_MIN);
    let ended = match timeout(GREETING_TIME_MAX, read_line(&mut stream, &mut input)).await {
        Err(_) => Err("no greeting came in time"),
        Ok(Err(why)) => Err(why),
        Ok(Ok(None)) => Ok(()),
        Ok(Ok(Some(line))) => match protocol::read_greeting(&line) {
            Greeting::Publish(name) => {
                let channel = hub.open(name);
                publish(&mut stream, &mut input, &channel).await
            }
            Greeting::Subscribe(name) => {
                let channel = hub.open(name);
                return subscribe(stream, input, channel).await;
            }
            Greeting::Bye => Ok(()),
            Greeting::Wrong(why) => Err(why),
        },
    };
    let (mut from, mut to) = stream.split();
    part(&mut from, &mut to, ended).await;
}

async fn serve(listener: TcpListener) {
    let hub = Arc::new(Hub::default());
    loop {
        let stream = server::accept(&listener).await;
        tokio::spawn(converse(stream, hub.clone()));
    }
}

fn main() {
    server::run(serve);
}
