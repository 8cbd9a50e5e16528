//! The line protocol of the pub/sub servers; bytes in, values out.
//!
//! `PUBLISH <channel>` or `SUBSCRIBE <channel>` is answered with `OK`. Then each line of a
//! publisher is a message, and every message of the channel goes to each of its subscribers. `BYE`
//! ends either. Lines end with CR LF. Anything else is answered with `ERROR <why>`, and the
//! connection is closed.

use memchr::memchr;

pub const OK: &[u8] = b"OK\r\n";

/// With its CR LF.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
pub const CHANNEL_BYTES_MAX: usize = 255;

pub const TOO_LONG: &str = "a line is longer than 64 KiB";
pub const NO_END: &str = "the last line has no end";

/// The first line of a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Greeting<'a> {
    Publish(&'a str),
    Subscribe(&'a str),
    Bye,
    Wrong(&'static str),
}

/// Reads the first line, without its CR LF.
pub fn read_greeting(line: &[u8]) -> Greeting<'_> {
    if line == b"BYE" {
        Greeting::Bye
    } else if let Some(channel) = line.strip_prefix(b"PUBLISH ") {
        with_channel(Greeting::Publish, channel)
    } else if let Some(channel) = line.strip_prefix(b"SUBSCRIBE ") {
        with_channel(Greeting::Subscribe, channel)
    } else {
        Greeting::Wrong("expected PUBLISH, SUBSCRIBE or BYE")
    }
}

fn with_channel<'a>(verb: fn(&'a str) -> Greeting<'a>, channel: &'a [u8]) -> Greeting<'a> {
    let unprintable = |byte: &u8| *byte <= b' ' || *byte == 0x7f;
    if channel.is_empty() {
        return Greeting::Wrong("the channel has no name");
    }
    if channel.len() > CHANNEL_BYTES_MAX {
        return Greeting::Wrong("the channel's name is longer than 255");
    }
    if channel.iter().any(unprintable) {
        return Greeting::Wrong("the channel's name has a space or a control character");
    }
    match std::str::from_utf8(channel) {
        Ok(channel) => verb(channel),
        Err(_) => Greeting::Wrong("the channel's name is not UTF-8"),
    }
}

/// What a publisher sent, as far as it is whole lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// Of the messages at the front that may be passed on.
    pub bytes: usize,
    pub then: Then,
}

/// What follows the messages.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Then {
    #[default]
    More,
    Bye,
    Wrong(&'static str),
}

/// Looks at the whole lines at the front of `text`.
pub fn read_messages(text: &[u8]) -> Messages {
    let mut found = Messages::default();
    while let Some(end) = memchr(b'\n', &text[found.bytes..]) {
        let line = &text[found.bytes..=found.bytes + end];
        if let Some(then) = not_a_message(line) {
            found.then = then;
            return found;
        }
        found.bytes += line.len();
    }
    if text.len() - found.bytes >= LINE_BYTES_MAX {
        found.then = Then::Wrong(TOO_LONG);
    }
    found
}

fn not_a_message(line: &[u8]) -> Option<Then> {
    if !line.ends_with(b"\r\n") {
        Some(Then::Wrong("a line ends with CRLF"))
    } else if line.len() > LINE_BYTES_MAX {
        Some(Then::Wrong(TOO_LONG))
    } else if memchr(0, line).is_some() {
        Some(Then::Wrong("a NUL byte"))
    } else if line == b"BYE\r\n" {
        Some(Then::Bye)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_are_messages_until_bye() {
        let found = read_messages(b"a\r\nbc\r\nBYE\r\nd\r\n");
        assert_eq!(
            found,
            Messages {
                bytes: 7,
                then: Then::Bye
            }
        );
    }

    #[test]
    fn an_incomplete_line_is_left_alone() {
        let found = read_messages(b"a\r\nBYE\r");
        assert_eq!(
            found,
            Messages {
                bytes: 3,
                then: Then::More
            }
        );
    }

    #[test]
    fn a_line_of_64_kib_is_a_message_and_one_byte_more_is_not() {
        let mut line = vec![b'x'; LINE_BYTES_MAX - 2];
        line.extend_from_slice(b"\r\n");
        assert_eq!(read_messages(&line).bytes, LINE_BYTES_MAX);
        line.insert(0, b'x');
        assert_eq!(
            read_messages(&line),
            Messages {
                bytes: 0,
                then: Then::Wrong(TOO_LONG)
            }
        );
        assert_eq!(
            read_messages(&line[..LINE_BYTES_MAX]).then,
            Then::Wrong(TOO_LONG)
        );
    }

    #[test]
    fn a_greeting_names_a_channel() {
        assert_eq!(read_greeting(b"PUBLISH news"), Greeting::Publish("news"));
        assert_eq!(
            read_greeting(b"SUBSCRIBE news"),
            Greeting::Subscribe("news")
        );
        assert_eq!(read_greeting(b"BYE"), Greeting::Bye);
        assert!(matches!(read_greeting(b"PUBLISH a b"), Greeting::Wrong(_)));
        assert!(matches!(read_greeting(b"PUBLISH "), Greeting::Wrong(_)));
    }
}
