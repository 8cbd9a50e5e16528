#include "pubsub_protocol.hpp"

#include <cstring>

namespace pubsub {
namespace {

constexpr std::string_view line_end = "\r\n";

bool printable(std::string_view channel) {
    for (const char c : channel)
        if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f') return false;
    return true;
}

greeting with_channel(verb what, std::string_view channel) {
    if (channel.empty()) return {.why = "the channel has no name"};
    if (channel.size() > channel_bytes_max) return {.why = "the channel's name is longer than 255"};
    if (!printable(channel))
        return {.why = "the channel's name has a space or a control character"};
    return {.what = what, .channel = channel};
}

}  // namespace

greeting read_greeting(std::string_view line) {
    constexpr std::string_view publish = "PUBLISH ";
    constexpr std::string_view subscribe = "SUBSCRIBE ";
    if (!line.ends_with(line_end)) return {.why = "a line ends with CRLF"};
    line.remove_suffix(line_end.size());
    if (line.find('\0') != line.npos) return {.why = "a NUL byte"};
    if (line == "BYE") return {.what = verb::bye};
    if (line.starts_with(publish)) return with_channel(verb::publish, line.substr(publish.size()));
    if (line.starts_with(subscribe))
        return with_channel(verb::subscribe, line.substr(subscribe.size()));
    if (line == "PUBLISH" || line == "SUBSCRIBE") return {.why = "the channel has no name"};
    return {.why = "expected PUBLISH, SUBSCRIBE or BYE"};
}

messages read_messages(std::string_view text) {
    messages found;
    while (found.bytes < text.size()) {
        const char* begin = text.data() + found.bytes;
        const std::size_t left = text.size() - found.bytes;
        const void* newline = std::memchr(begin, '\n', left);
        if (!newline) break;
        const std::string_view line(begin, static_cast<const char*>(newline) - begin + 1);
        if (!line.ends_with(line_end))
            found.why = "a line ends with CRLF";
        else if (line.size() > line_bytes_max)
            found.why = "a line is longer than 64 KiB";
        else if (std::memchr(begin, '\0', line.size()))
            found.why = "a NUL byte";
        else if (line == "BYE\r\n")
            found.bye = true;
        if (found.bye || !found.why.empty()) break;
        found.bytes += line.size();
        ++found.count;
    }
    return found;
}

}  // namespace pubsub
