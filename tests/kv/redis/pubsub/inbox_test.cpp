#include <ouro/kv/redis/pubsub/inbox.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/doctest.hpp>

#include <optional>
#include <string>

using namespace ouro;
using redis::inbox_options;
using redis::message;
using redis::message_kind;

namespace {

struct plain_inbox final : redis::inbox {
    using inbox::inbox;
};

message said(const std::string& text) { return message({.channel = "c", .payload = text}); }

message over(const std::string& channel) {
    return message({.kind = message_kind::ended, .channel = channel});
}

inbox_options at_most(std::size_t messages, std::size_t bytes = 1 << 20) {
    inbox_options limits;
    limits.messages_max = messages;
    limits.bytes_max = bytes;
    return limits;
}

task<std::string> text_of_next(redis::inbox& from) {
    const std::optional<message> got = co_await from.next();
    if (!got) co_return "(end)";
    if (got->kind() == message_kind::dropped)
        co_return "(dropped " + std::to_string(got->count()) + ")";
    if (got->kind() == message_kind::ended) co_return "(ended " + std::string(got->channel()) + ")";
    co_return std::string(got->payload());
}

}  // namespace

TEST_CASE("a message keeps its texts, and its copies share them") {
    const std::string text("a\0b", 3);
    message first({.topic = redis::topic_kind::pattern,
                   .channel = "news.a",
                   .pattern = "news.*",
                   .payload = text});
    const message copy = first;
    CHECK(copy.payload().data() == first.payload().data());
    const message moved = std::move(first);
    CHECK(!first);
    CHECK(moved.is_published());
    CHECK(moved.channel() == "news.a");
    CHECK(moved.pattern() == "news.*");
    CHECK(moved.payload() == text);
    CHECK(moved.bytes() > 15);
    const message large({.payload = std::string(100'000, 'x')});
    CHECK(large.payload().size() == 100'000);
    CHECK(large.channel().empty());
}

OURO_TEST("messages come in their order, to who waits and to who comes later") {
    plain_inbox box(at_most(100));
    auto waiting = spawn(text_of_next(box));
    co_await settle();
    box.put(said("0"));
    CHECK(box.size() == 0);
    for (int i = 1; i < 50; ++i) box.put(said(std::to_string(i)));
    CHECK(co_await waiting == "0");
    for (int i = 1; i < 50; ++i) CHECK(co_await text_of_next(box) == std::to_string(i));
    CHECK(box.bytes() == 0);
}

OURO_TEST("the limit plus one drops the oldest, and it is told how many there were") {
    plain_inbox box(at_most(3));
    for (int i = 0; i < 3; ++i) box.put(said(std::to_string(i)));
    CHECK(box.full());
    CHECK(box.dropped() == 0);
    box.put(said("3"));
    box.put(said("4"));
    CHECK(box.size() == 3);
    CHECK(box.dropped() == 2);
    CHECK(co_await text_of_next(box) == "(dropped 2)");
    CHECK(co_await text_of_next(box) == "2");
    box.put(said("5"));
    box.put(said("6"));
    CHECK(co_await text_of_next(box) == "(dropped 1)");
    for (const char* text : {"4", "5", "6"}) CHECK(co_await text_of_next(box) == text);
    CHECK(box.dropped() == 3);
}

OURO_TEST("bytes are limited, too, but one message may be larger than all") {
    const std::size_t each = said("0").bytes();
    plain_inbox box(at_most(100, 2 * each));
    for (int i = 0; i < 3; ++i) box.put(said(std::to_string(i)));
    CHECK(box.size() == 2);
    CHECK(box.bytes() == 2 * each);
    box.put(said(std::string(10'000, 'x')));
    CHECK(box.size() == 1);
    CHECK(co_await text_of_next(box) == "(dropped 3)");
    CHECK(co_await text_of_next(box) == std::string(10'000, 'x'));
}

OURO_TEST("that a subscription has ended is never dropped") {
    plain_inbox box(at_most(2));
    box.put(said("0"));
    box.put(over("a"));
    box.put(over("b"));
    for (int i = 1; i < 10; ++i) box.put(said(std::to_string(i)));
    CHECK(co_await text_of_next(box) == "(dropped 8)");
    CHECK(co_await text_of_next(box) == "(ended a)");
    CHECK(co_await text_of_next(box) == "(ended b)");
    CHECK(co_await text_of_next(box) == "8");
    CHECK(co_await text_of_next(box) == "9");
}

OURO_TEST("a cancelled wait has taken nothing, and one that was answered keeps it") {
    plain_inbox box(at_most(10));
    auto waiting = spawn(text_of_next(box));
    co_await settle();
    waiting.cancel();
    CHECK((co_await as_result(waiting)).error() == errc::cancelled);
    box.put(said("kept"));
    CHECK(co_await text_of_next(box) == "kept");
    auto answered = spawn(text_of_next(box));
    co_await settle();
    box.put(said("in hand"));
    answered.cancel();
    CHECK(co_await answered == "in hand");
}

OURO_TEST("at the end nothing is left, and whoever waits is told") {
    plain_inbox box(at_most(10));
    auto waiting = spawn(text_of_next(box));
    co_await settle();
    box.end();
    CHECK(co_await waiting == "(end)");
    box.put(said("too late"));
    CHECK(co_await text_of_next(box) == "(end)");
    plain_inbox full(at_most(1));
    full.put(said("0"));
    full.put(said("1"));
    full.end();
    CHECK(full.size() == 0);
    CHECK(co_await text_of_next(full) == "(end)");
}
