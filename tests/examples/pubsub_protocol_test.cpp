#include <pubsub_protocol.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace pubsub;
using namespace std::string_literals;

TEST_CASE("a greeting names a verb and a channel") {
    CHECK(read_greeting("PUBLISH news\r\n").what == verb::publish);
    CHECK(read_greeting("PUBLISH news\r\n").channel == "news");
    CHECK(read_greeting("SUBSCRIBE a/b:c\r\n").what == verb::subscribe);
    CHECK(read_greeting("SUBSCRIBE a/b:c\r\n").channel == "a/b:c");
    CHECK(read_greeting("BYE\r\n").what == verb::bye);
}

TEST_CASE("a channel's name may have 255 bytes and no more") {
    const std::string longest(channel_bytes_max, 'x');
    CHECK(read_greeting("PUBLISH " + longest + "\r\n").channel == longest);
    CHECK(read_greeting("PUBLISH " + longest + "x\r\n").what == verb::wrong);
}

TEST_CASE("what is no greeting is refused with a reason") {
    for (const std::string& line :
         {"PUBLISH\r\n"s, "PUBLISH \r\n"s, "SUBSCRIBE\r\n"s, "publish news\r\n"s, "\r\n"s,
          "PUBLISHnews\r\n"s, "GET / HTTP/1.1\r\n"s, "PUBLISH two words\r\n"s, "PUBLISH a\tb\r\n"s,
          "PUBLISH news\n"s, "PUBLISH ne\0ws\r\n"s, "PUBLISH \x7f\r\n"s, "BYE \r\n"s}) {
        CAPTURE(line);
        const greeting got = read_greeting(line);
        CHECK(got.what == verb::wrong);
        CHECK_FALSE(got.why.empty());
    }
}

TEST_CASE("whole lines are counted, the rest is left alone") {
    const messages got = read_messages("one\r\ntwo\r\nthr");
    CHECK(got.count == 2);
    CHECK(got.bytes == 10);
    CHECK_FALSE(got.bye);
    CHECK(got.why.empty());
    CHECK(read_messages("").count == 0);
    CHECK(read_messages("no end").bytes == 0);
    CHECK(read_messages("\r\n").count == 1);  // an empty message is a message
}

TEST_CASE("every split of a stream of lines finds the same messages") {
    const std::string stream = "a\r\nbb\r\n\r\nBYEBYE\r\nBYE\r\nlost\r\n";
    for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
        std::string pending = stream.substr(0, cut);
        messages first = read_messages(pending);
        std::size_t count = first.count;
        bool bye = first.bye;
        if (!bye) {
            pending = pending.substr(first.bytes) + stream.substr(cut);
            const messages second = read_messages(pending);
            count += second.count;
            bye = second.bye;
        }
        CHECK(count == 4);
        CHECK(bye);
    }
}

TEST_CASE("messages before something wrong are passed on") {
    const messages bare = read_messages("good\r\nbad\nmore\r\n");
    CHECK(bare.count == 1);
    CHECK(bare.bytes == 6);
    CHECK_FALSE(bare.why.empty());
    const messages nul = read_messages("good\r\nb\0d\r\n"s);
    CHECK(nul.count == 1);
    CHECK(nul.why == "a NUL byte");
}

TEST_CASE("a line may have 64 KiB and no more") {
    std::string line(line_bytes_max - 2, 'x');
    CHECK(read_messages(line + "\r\n").count == 1);
    CHECK(read_messages(line + "x\r\n").count == 0);
    CHECK_FALSE(read_messages(line + "x\r\n").why.empty());
}
