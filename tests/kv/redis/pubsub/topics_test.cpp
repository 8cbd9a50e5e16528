#include <ouro/kv/redis/pubsub/topics.hpp>

#include <ouro/kv/redis/wire/resp.hpp>
#include <ouro/kv/redis/wire/slots.hpp>

#include <doctest/doctest.h>

#include <set>
#include <span>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::redis;

namespace {

class table final : public topic_table {
public:
    int let_go_of = 0;

    /// The commands of a round, their names in order: "SUBSCRIBE a b".
    std::vector<std::string> round() {
        std::vector<std::string> commands;
        word_reader in(compose());
        while (!in.at_end()) {
            std::size_t left = in.begin_command();
            std::string text(in.next());
            std::set<std::string> names;
            while (--left > 0) names.emplace(in.next());
            if (text == "PING")
                token_ = *names.begin();
            else
                for (const std::string& name : names) text += ' ' + name;
            commands.push_back(text);
        }
        return commands;
    }
    answer reply(const std::string& raw) { return topic_table::reply(parsed(raw)); }
    /// The reply to the PING of the last round.
    bool pong() { return reply("+" + token_ + "\r\n") == answer::last; }
    const std::string& token() const { return token_; }
    void push(const std::vector<std::string>& words) {
        std::string raw = ">" + std::to_string(words.size()) + "\r\n";
        for (const std::string& word : words)
            raw += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
        topic_table::push(parsed(raw));
    }
    topic::state state_of(const std::string& name, topic_kind kind = topic_kind::channel) {
        const topic* const one = find(kind, name);
        return one ? one->is : topic::state::absent;
    }

private:
    void let_go() noexcept override { ++let_go_of; }
    value parsed(const std::string& raw) {
        const auto used = parser_.parse(std::as_bytes(std::span(raw)));
        REQUIRE(used);
        REQUIRE(*used == raw.size());
        kept_.assign(parser_.root());
        return kept_;
    }

    resp_parser parser_;
    redis::reply kept_;
    std::string token_;
};

using command_texts = std::vector<std::string>;
using state = topic::state;
constexpr auto channel = topic_kind::channel;
using answer = topic_table::answer;

}  // namespace

TEST_CASE("a round says what has changed, and nothing else") {
    table all;
    listener one(all, {}), two(all, {});
    CHECK(!all.changed());
    CHECK(all.round() == command_texts{"PING"});
    all.join(one, channel, "a");
    all.join(one, channel, "b");
    all.join(two, channel, "a");
    all.join(two, topic_kind::pattern, "a*");
    all.join(two, topic_kind::shard, "s");
    all.join(two, topic_kind::shard, "t");
    const command_texts first = all.round();
    CHECK(std::set<std::string>(first.begin(), first.end()) ==
          std::set<std::string>{"SUBSCRIBE a b", "PSUBSCRIBE a*", "SSUBSCRIBE s", "SSUBSCRIBE t",
                                "PING"});
    CHECK(first.back() == "PING");
    CHECK(!all.changed());
    // Unfinished, it is asked again in full, with what has changed since.
    all.leave_all(one);
    const command_texts second = all.round();
    CHECK(second.size() == 5);
    for (const char* kind : {"subscribe", "psubscribe"}) all.push({kind, "a", "1"});
    all.push({"psubscribe", "a*", "1"});
    all.push({"ssubscribe", "s", "1"});
    all.push({"ssubscribe", "t", "1"});
    CHECK(all.pong());
    CHECK(!all.changed());
    CHECK(all.size() == 4);
    all.leave_all(two);
    CHECK(all.round().size() == 5);
    CHECK(all.pong());
    CHECK(all.size() == 0);
}

TEST_CASE("an error belongs to the first command whose confirmations have not all come") {
    table all;
    listener one(all, {});
    for (const char* name : {"a", "b", "c"}) all.join(one, topic_kind::shard, name);
    const command_texts asked = all.round();
    REQUIRE(asked.size() == 4);
    const std::string first = asked[0].substr(11);
    const std::string second = asked[1].substr(11);
    const std::string third = asked[2].substr(11);
    all.push({"ssubscribe", first, "1"});
    CHECK(all.reply("-MOVED 1 127.0.0.1:2\r\n") == answer::more);
    all.push({"ssubscribe", third, "1"});
    // With all confirmed or refused, even an error is the PING's.
    CHECK(all.reply("-NOPERM no PING for you\r\n") == answer::last);
    CHECK(all.state_of(first, topic_kind::shard) == state::present);
    CHECK(all.state_of(second, topic_kind::shard) == state::refused);
    CHECK(all.find(topic_kind::shard, second)->code == redis::errc::moved);
    CHECK(all.state_of(third, topic_kind::shard) == state::present);
    CHECK(!all.changed());
    // Who joins what was refused has it asked for again.
    all.join(one, topic_kind::shard, second);
    CHECK(all.round() == command_texts{"SSUBSCRIBE " + second, "PING"});
}

TEST_CASE("only its own token ends a round, and a reply that is neither is nobody's") {
    table all;
    listener one(all, {});
    all.join(one, channel, "a");
    all.round();
    const std::string before = all.token();
    all.lost("gone");
    all.round();
    CHECK(all.token() != before);
    all.push({"subscribe", "a", "1"});
    for (const char* reply : {"+PONG\r\n", ":1\r\n", "_\r\n", "*0\r\n"})
        CHECK(all.reply(reply) == answer::foreign);
    CHECK(all.reply("+" + before + "\r\n") == answer::foreign);
    CHECK(all.pong());
    CHECK(!all.pong());  // it was that of a round which is over
    // As RESP2 says it where there are subscriptions.
    all.leave_all(one);
    all.round();
    all.push({"unsubscribe", "a", "0"});
    CHECK(all.reply("*2\r\n+pong\r\n+" + all.token() + "\r\n") == answer::last);
    CHECK(all.size() == 0);
}

namespace {

/// Some shard channels that are known and then given up, and others that are asked for in the same
/// round.
struct given_up {
    explicit given_up(std::vector<std::string> known, std::vector<std::string> wanted = {}) {
        for (const std::string& name : known) all.join(one, topic_kind::shard, name);
        all.round();
        for (const std::string& name : known) all.push({"ssubscribe", name, "1"});
        REQUIRE(all.pong());
        all.leave_all(one);
        for (const std::string& name : wanted) all.join(two, topic_kind::shard, name);
        all.round();
    }
    state state_of(const std::string& name) { return all.state_of(name, topic_kind::shard); }
    answer moved(const std::string& name) {
        return all.reply("-MOVED " + std::to_string(slot_of(name)) + " 127.0.0.1:2\r\n");
    }

    table all;
    listener one{all, {}}, two{all, {}};
};

}  // namespace

TEST_CASE("a server that gives up a shard channel by itself has not answered SUNSUBSCRIBE") {
    given_up round({"s"});
    round.all.push({"sunsubscribe", "s", "0"});
    CHECK(round.moved("s") == answer::more);  // and not the PING's
    CHECK(round.all.reply("+PONG\r\n") == answer::foreign);
    CHECK(round.all.pong());
    CHECK(round.all.size() == 0);
    CHECK(!round.all.changed());
}

TEST_CASE("it takes no part of what was asked for behind it down") {
    given_up round({"s"}, {"t"});
    round.all.push({"sunsubscribe", "s", "0"});
    CHECK(round.moved("s") == answer::more);
    round.all.push({"ssubscribe", "t", "1"});
    CHECK(round.all.pong());
    CHECK(round.state_of("s") == state::absent);
    CHECK(round.state_of("t") == state::present);
    CHECK(!round.all.changed());
}

TEST_CASE("when both are refused, each has its own error") {
    given_up round({"s"}, {"t"});
    round.all.push({"sunsubscribe", "s", "0"});
    CHECK(round.moved("s") == answer::more);
    CHECK(round.all.reply("-NOPERM not for you\r\n") == answer::more);
    CHECK(round.all.pong());
    CHECK(round.state_of("s") == state::absent);
    CHECK(round.state_of("t") == state::refused);
    CHECK(round.all.find(topic_kind::shard, "t")->code == redis::errc::no_permission);
}

TEST_CASE("an error behind a SUNSUBSCRIBE that was confirmed is that of what was refused") {
    given_up round({"s"}, {"t"});
    round.all.push({"sunsubscribe", "s", "0"});
    CHECK(round.moved("t") == answer::more);
    CHECK(round.all.pong());
    CHECK(round.state_of("s") == state::absent);
    CHECK(round.state_of("t") == state::refused);
    CHECK(round.all.find(topic_kind::shard, "t")->code == redis::errc::moved);
}

TEST_CASE("an error that names a slot is that of a command of this slot") {
    table all;
    listener one(all, {}), two(all, {}), three(all, {});
    all.join(one, topic_kind::shard, "s");
    all.join(three, topic_kind::shard, "u");
    all.round();
    all.push({"ssubscribe", "s", "1"});
    all.push({"ssubscribe", "u", "2"});
    REQUIRE(all.pong());
    all.leave_all(one);
    all.join(two, topic_kind::shard, "t");
    all.leave_all(three);
    CHECK(all.round() == command_texts{"SUNSUBSCRIBE s", "SSUBSCRIBE t", "SUNSUBSCRIBE u", "PING"});
    all.push({"sunsubscribe", "s", "1"});
    const std::string moved = "MOVED " + std::to_string(slot_of("t")) + " 127.0.0.1:2";
    CHECK(all.reply("-" + moved + "\r\n") == answer::more);
    all.push({"sunsubscribe", "u", "0"});  // by itself: its slot has moved, too
    CHECK(all.reply("-MOVED " + std::to_string(slot_of("u")) + " 127.0.0.1:2\r\n") == answer::more);
    CHECK(all.pong());
    REQUIRE(all.find(topic_kind::shard, "t"));
    CHECK(all.find(topic_kind::shard, "t")->words == moved);
    CHECK(!all.find(topic_kind::shard, "s"));
    CHECK(!all.find(topic_kind::shard, "u"));
}

TEST_CASE("who wants a channel that the server gives up meanwhile has it asked for again") {
    given_up round({"s"});
    round.all.join(round.two, topic_kind::shard, "s");
    round.all.push({"sunsubscribe", "s", "0"});
    CHECK(round.moved("s") == answer::more);
    CHECK(round.all.pong());
    CHECK(round.two.topics() == 1);
    CHECK(round.all.round() == command_texts{"SSUBSCRIBE s", "PING"});
}

TEST_CASE("who may not PING has a round that ends all the same") {
    given_up round({"s"});
    round.all.push({"sunsubscribe", "s", "0"});
    CHECK(round.all.reply("-NOPERM this user has no permissions to run the 'ping' command\r\n") ==
          answer::last);
    CHECK(round.all.size() == 0);
}

TEST_CASE("what is refused as a whole is asked for one by one") {
    table all;
    listener one(all, {});
    all.join(one, channel, "a");
    all.join(one, channel, "b");
    CHECK(all.round() == command_texts{"SUBSCRIBE a b", "PING"});
    CHECK(all.reply("-NOPERM\r\n") == answer::more);
    CHECK(all.pong());
    const command_texts again = all.round();
    CHECK(std::set<std::string>(again.begin(), again.end()) ==
          std::set<std::string>{"SUBSCRIBE a", "SUBSCRIBE b", "PING"});
}

TEST_CASE("more than a thousand names make several commands") {
    table all;
    listener one(all, {});
    for (int i = 0; i < 1001; ++i) all.join(one, channel, std::to_string(i));
    CHECK(all.round().size() == 3);
    for (int i = 0; i < 1001; ++i) all.push({"subscribe", std::to_string(i), "1"});
    CHECK(all.pong());
    all.push({"message", "1000", "x"});
    CHECK(one.size() == 1);
}

TEST_CASE("who comes while the last one goes is subscribed again, and hears nothing before") {
    table all;
    listener one(all, {}), two(all, {});
    all.leave(all.join(one, channel, "a"));
    CHECK(!all.changed());
    CHECK(all.size() == 0);
    all.join(one, channel, "a");
    all.round();
    all.push({"subscribe", "a", "1"});
    CHECK(all.pong());
    all.leave_all(one);
    CHECK(all.round() == command_texts{"UNSUBSCRIBE a", "PING"});
    all.join(two, channel, "a");
    all.push({"message", "a", "late"});
    all.push({"unsubscribe", "a", "0"});
    CHECK(two.size() == 0);
    CHECK(all.pong());
    CHECK(all.round() == command_texts{"SUBSCRIBE a", "PING"});
    all.push({"subscribe", "a", "1"});
    all.push({"message", "a", "in time"});
    CHECK(two.size() == 1);
    CHECK(all.pong());
    CHECK(!all.changed());
}

TEST_CASE("a lost connection is told once, and its end when everything is back") {
    table all;
    listener one(all, {});
    all.join(one, channel, "a");
    all.join(one, topic_kind::pattern, "b*");
    all.round();
    all.push({"subscribe", "a", "1"});
    all.push({"psubscribe", "b*", "2"});
    CHECK(all.pong());
    all.lost("gone");
    CHECK(one.size() == 1);
    CHECK(all.changed());
    all.round();
    all.push({"subscribe", "a", "1"});
    CHECK(one.size() == 1);  // half of it
    all.lost("gone again");
    CHECK(one.size() == 1);
    all.round();
    all.push({"subscribe", "a", "1"});
    all.push({"psubscribe", "b*", "2"});
    CHECK(one.size() == 2);
    CHECK(all.pong());
    CHECK(!all.changed());
}

TEST_CASE("a listener that is full holds the connection back until it has room") {
    table all;
    inbox_options tight;
    tight.messages_max = 4;
    tight.when_full = slow_policy::block;
    listener one(all, tight);
    all.join(one, channel, "a");
    all.round();
    all.push({"subscribe", "a", "1"});
    CHECK(all.pong());
    for (int i = 0; i < 3; ++i) all.push({"message", "a", "x"});
    CHECK(!all.held_back());
    for (int i = 0; i < 3; ++i) all.push({"message", "a", "x"});
    CHECK(all.held_back());
    CHECK(one.size() == 6);  // nothing is dropped
    one.end();
    CHECK(!all.held_back());
    CHECK(all.let_go_of == 1);
}
