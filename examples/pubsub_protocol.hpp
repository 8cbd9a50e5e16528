// pubsub_protocol.hpp: the line protocol of the pub/sub server; bytes in, values out.
//
//   PUBLISH <channel> CRLF       answered with OK CRLF; then every line is a message
//   SUBSCRIBE <channel> CRLF     answered with OK CRLF; then every message of the channel follows
//   BYE CRLF                     ends either
//
// Anything else is answered with ERROR <why> CRLF, and the connection is closed.
#pragma once

#include <cstddef>
#include <string_view>

namespace pubsub {

constexpr std::size_t line_bytes_max = 64 * 1024;  // with its CRLF
constexpr std::size_t channel_bytes_max = 255;

enum class verb { publish, subscribe, bye, wrong };

/// The first line of a connection. When it is wrong, `why` says so in a few words.
struct greeting {
    verb what = verb::wrong;
    std::string_view channel;  // a view into the line
    std::string_view why;
};

/// Reads a whole line, its CRLF included.
greeting read_greeting(std::string_view line);

/// What a publisher sent, as far as it is whole lines.
struct messages {
    std::size_t bytes = 0;  // of the messages at the front that may be passed on
    std::size_t count = 0;  // how many they are
    bool bye = false;       // then comes BYE
    std::string_view why;   // then comes something wrong; empty: nothing does
};

/// Looks at the whole lines at the front of `text`; what follows the last CRLF is left alone.
messages read_messages(std::string_view text);

}  // namespace pubsub
