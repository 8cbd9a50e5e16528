#include <ouro/kv/redis/wire/key_spec.hpp>

#include <ouro/kv/redis/wire/command_table.hpp>
#include <ouro/tests/kv/servers.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

using namespace ouro::redis;

namespace {

using words_list = std::vector<std::string_view>;

words_list words_of(std::string_view line) {  // '' is an empty word
    words_list words;
    while (!line.empty()) {
        const std::size_t end = line.find(' ');
        const std::string_view word = line.substr(0, end);
        words.push_back(word == "''" ? std::string_view() : word);
        line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
    }
    return words;
}

const command_info& command_of(const words_list& words) {
    const command_info* const found =
        find_command(words[0], words.size() > 1 ? words[1] : std::string_view());
    REQUIRE(found != nullptr);
    return *found;
}

// The keys of a command, with a blank behind each.
std::string keys_in(std::string_view line) {
    const words_list words = words_of(line);
    const command_info& command = command_of(words);
    std::string keys;
    const key_ranges found = keys_of(command, words);
    std::size_t count = 0;
    for (const std::uint32_t at : found) {
        keys += std::string(words.at(at)) + ' ';
        ++count;
    }
    CHECK(count == found.size());
    CHECK(found.empty() == (count == 0));
    CHECK(first_key_of(command, words) == (found.empty() ? 0 : *found.begin()));
    return keys;
}

}  // namespace

TEST_CASE("keys at fixed places are found") {
    CHECK(keys_in("GET a") == "a ");
    CHECK(keys_in("MGET a b c") == "a b c ");
    CHECK(keys_in("MSET a 1 b 2") == "a b ");
    CHECK(keys_in("MSETNX a 1") == "a ");
    CHECK(keys_in("LMOVE a b LEFT RIGHT") == "a b ");
    CHECK(keys_in("BLPOP a b 0") == "a b ");
    CHECK(keys_in("BITOP AND to a b") == "to a b ");
    CHECK(keys_in("OBJECT ENCODING a") == "a ");
    CHECK(keys_in("XGROUP CREATE a group $") == "a ");
    CHECK(keys_in("MEMORY USAGE a") == "a ");
    CHECK(keys_in("PFCOUNT a b") == "a b ");
    CHECK(keys_in("PING") == "");
    CHECK(keys_in("SPUBLISH channel text") == "channel ");
}

TEST_CASE("counted keys are found") {
    CHECK(keys_in("EVAL script 2 a b x y") == "a b ");
    CHECK(keys_in("EVAL script 0 x") == "");
    CHECK(keys_in("FCALL name 1 a x") == "a ");
    CHECK(keys_in("ZUNION 2 a b WEIGHTS 1 2") == "a b ");
    CHECK(keys_in("ZUNIONSTORE to 2 a b AGGREGATE MAX") == "to a b ");
    CHECK(keys_in("BLMPOP 0 2 a b LEFT") == "a b ");
    CHECK(keys_in("SINTERCARD 2 a b LIMIT 3") == "a b ");
    for (const std::string_view wrong :
         {"EVAL script -1 a", "EVAL script x a", "EVAL script 3 a b", "EVAL script 1",
          "EVAL script 99999999999999999999 a", "EVAL script 4294967297 a",
          "EVAL script 18446744073709551615 a", "EVAL script ''"})
        CHECK(keys_in(wrong) == "");
}

TEST_CASE("keys behind a keyword are found, in any case") {
    CHECK(keys_in("XREAD STREAMS a 0") == "a ");
    CHECK(keys_in("XREAD COUNT 1 BLOCK 0 streams a b 0 0") == "a b ");
    CHECK(keys_in("XREADGROUP GROUP STREAMS c STREAMS a b > >") == "a b ");
    CHECK(keys_in("XREAD COUNT 1 STREAMS") == "");
    CHECK(keys_in("XREAD COUNT 1 a b") == "");
    CHECK(keys_in("GEORADIUS a 0 0 1 m STORE b") == "a b ");
    CHECK(keys_in("GEORADIUS a 0 0 1 m COUNT 1 sToReDiSt b") == "a b ");
    CHECK(keys_in("GEORADIUS a 0 0 1 m STORE") == "a ");
    CHECK(keys_in("GEORADIUSBYMEMBER a member 1 m STORE b") == "a b ");
}

TEST_CASE("what SORT stores to is found behind its other options") {
    CHECK(keys_in("SORT a") == "a ");
    CHECK(keys_in("SORT a STORE b") == "a b ");
    CHECK(keys_in("SORT a BY STORE GET STORE LIMIT 0 STORE store b") == "a b ");
    CHECK(keys_in("SORT a STORE b STORE c") == "a c ");
    CHECK(keys_in("SORT a STORE") == "a ");
    CHECK(keys_in("SORT_RO a BY b GET c") == "a ");
}

TEST_CASE("MIGRATE names one key or a list of them") {
    CHECK(keys_in("MIGRATE host 6379 a 0 1000") == "a ");
    CHECK(keys_in("MIGRATE host 6379 '' 0 1000 KEYS a b") == "a b ");
    CHECK(keys_in("MIGRATE host 6379 '' 0 1000 COPY AUTH2 KEYS KEYS keys a b") == "a b ");
    CHECK(keys_in("MIGRATE host 6379 '' 0 1000 AUTH KEYS KEYS a") == "a ");
    CHECK(keys_in("MIGRATE host 6379 a 0 1000 KEYS b") == "a ");
    CHECK(keys_in("MIGRATE host 6379 '' 0 1000 KEYS") == " ");
}

TEST_CASE("a command of too few words has no keys") {
    for (const command_info& each : all_commands()) {
        words_list words = words_of(each.name);
        for (int more = 0; more < 12; ++more) {
            CAPTURE(each.name);
            CAPTURE(more);
            for (const std::uint32_t at : keys_of(each, words)) CHECK(at < words.size());
            if (!each.takes(words.size())) CHECK(keys_of(each, words).empty());
            words.emplace_back("1");
        }
    }
}

// --- beside the server's own opinion ----------------------------------------------------------

namespace {

std::set<std::string> ours(const command_info& command, const words_list& words) {
    std::set<std::string> keys;
    for (const std::uint32_t at : keys_of(command, words)) keys.emplace(words.at(at));
    return keys;
}

// What COMMAND GETKEYS says; `known` becomes false when it refuses the command.
std::set<std::string> theirs(const ouro::redis_server& server, const words_list& words,
                             bool& known) {
    std::vector<std::string> request{"COMMAND", "GETKEYS"};
    request.insert(request.end(), words.begin(), words.end());
    std::string reply = server.call(request);
    known = !reply.starts_with("(error)");
    std::set<std::string> keys;
    if (!known || reply.empty()) return keys;
    for (std::size_t begin = 0; begin <= reply.size();) {
        const std::size_t end = std::min(reply.find('\n', begin), reply.size());
        keys.insert(reply.substr(begin, end - begin));
        begin = end + 1;
    }
    return keys;
}

bool is_shard_channel(const command_info& command) {
    return command.is(command_flag::pubsub) && !command.keys.empty();
}

}  // namespace

TEST_CASE("the server finds the same keys in commands of random words") {
    const ouro::redis_server server;
    const std::string_view pool[] = {"a",     "b",       "c",         "d",    "0",    "1",
                                     "2",     "3",       "17",        "-1",   "x",    "STORE",
                                     "store", "STREAMS", "streams",   "KEYS", "BY",   "GET",
                                     "LIMIT", "COUNT",   "STOREDIST", "AUTH", "AUTH2"};
    std::mt19937 random(4711);
    int compared = 0;
    for (const command_info& command : all_commands()) {
        if (command.keys.empty() || is_shard_channel(command)) continue;
        const int trials = command.is(command_flag::movable_keys) ? 60 : 6;
        for (int trial = 0; trial < trials; ++trial) {
            words_list words = words_of(command.name);
            const std::size_t size = std::abs(command.arity) + random() % 8;
            while (words.size() < size) words.push_back(pool[random() % std::size(pool)]);
            bool known = false;
            const auto expected = theirs(server, words, known);
            if (!known) continue;
            std::string line;
            for (const std::string_view word : words) line += std::string(word) + ' ';
            CAPTURE(line);
            CHECK(ours(command, words) == expected);
            ++compared;
        }
    }
    CHECK(compared > 1000);
}

TEST_CASE("the server finds the same keys in commands that are hard to read") {
    const ouro::redis_server server;
    for (const std::string_view line :
         {"MIGRATE host 1 '' 0 1000 KEYS a b",
          "MIGRATE host 1 '' 0 1000 COPY AUTH2 KEYS KEYS keys a b",
          "MIGRATE host 1 '' 0 1000 AUTH KEYS KEYS a", "MIGRATE host 1 a 0 1000 REPLACE",
          "MIGRATE host 1 a 0 1000 AUTH KEYS", "SORT a BY STORE GET STORE LIMIT 0 STORE store b",
          "SORT a STORE b STORE c", "SORT a store", "XREAD COUNT 1 BLOCK 0 streams a b 0 0",
          "XREADGROUP GROUP STREAMS c STREAMS a b > >", "ZUNIONSTORE to 2 a b AGGREGATE MAX",
          "EVAL script 0 x", "EVAL script 2 a b x", "BZMPOP 0 2 a b MIN",
          "GEORADIUS a 0 0 1 m COUNT 2 STORE b", "GEORADIUSBYMEMBER a x 1 m ASC STOREDIST b",
          "GEORADIUS a 0 0 1 m STORE", "LCS a b IDX", "LMPOP 2 a b LEFT COUNT 10"}) {
        const words_list words = words_of(line);
        bool known = false;
        const auto expected = theirs(server, words, known);
        CAPTURE(line);
        REQUIRE(known);
        CHECK(ours(command_of(words), words) == expected);
    }
}
