#include <ouro/kv/redis/wire/command_table.hpp>

#include <doctest/doctest.h>

#include <cctype>
#include <string>
#include <string_view>

using namespace ouro::redis;

namespace {

std::string lower(std::string_view text) {
    std::string made(text);
    for (char& c : made) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return made;
}

std::string bulk(std::string_view word) {
    return "$" + std::to_string(word.size()) + "\r\n" + std::string(word) + "\r\n";
}

}  // namespace

TEST_CASE("a verb's entry is found under the verb and under its name") {
    CHECK(all_commands().size() == static_cast<std::size_t>(verb::any));
    for (const command_info& each : all_commands()) {
        CAPTURE(each.name);
        CHECK(&info(each.id) == &each);
        const std::size_t space = each.name.find(' ');
        const std::string_view word = each.name.substr(0, space);
        const std::string_view second =
            space == std::string_view::npos ? "" : each.name.substr(space + 1);
        CHECK(find_command(word, second) == &each);
        CHECK(find_command(lower(word), lower(second)) == &each);
    }
    CHECK(info(verb::get).name == "GET");
    CHECK(info(verb::client_setname).name == "CLIENT SETNAME");
    CHECK(info(verb::cluster_count_failure_reports).name == "CLUSTER COUNT-FAILURE-REPORTS");
    CHECK(info(verb::zunionstore).name == "ZUNIONSTORE");
}

TEST_CASE("the encoded name is its words as bulk strings") {
    for (const command_info& each : all_commands()) {
        const std::size_t space = each.name.find(' ');
        std::string expected = bulk(each.name.substr(0, space));
        if (space != std::string_view::npos) expected += bulk(each.name.substr(space + 1));
        CAPTURE(each.name);
        CHECK(each.encoded == expected);
        CHECK(each.words == (space == std::string_view::npos ? 1 : 2));
    }
    CHECK(info(verb::get).encoded == "$3\r\nGET\r\n");
    CHECK(info(verb::georadiusbymember_ro).encoded == "$20\r\nGEORADIUSBYMEMBER_RO\r\n");
    CHECK(info(verb::client_setname).encoded == "$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n");
}

TEST_CASE("what is in no table is not found") {
    for (const std::string_view word :
         {"", " ", "GE", "GETT", "0", "[", "\xff", "ZZZ", "A", "GET ", "anY"})
        CHECK(find_command(word) == nullptr);
    CHECK(find_command(std::string(1000, 'A')) == nullptr);
    CHECK(find_command("CLIENT", std::string(1000, 'A')) == nullptr);
    CHECK(find_command("CLIENT", "NOSUCH") == nullptr);
    CHECK(find_command("CLIENT", "SETNAM") == nullptr);
    CHECK(find_command(std::string_view("GET\0", 4)) == nullptr);
}

TEST_CASE("a second word matters only where there are subcommands") {
    CHECK(find_command("get", "setname") == &info(verb::get));
    CHECK(find_command("client") == &info(verb::client));
    CHECK(find_command("Command", "docs") == &info(verb::command_docs));
    CHECK(find_command("xGroup", "Create") == &info(verb::xgroup_create));
    CHECK(find_command("client setname") == &info(verb::client_setname));
}

TEST_CASE("any stands for commands in no table") {
    const command_info& any = info(verb::any);
    CHECK(any.id == verb::any);
    CHECK(any.name.empty());
    CHECK(any.words == 0);
    CHECK(any.keys.empty());
    CHECK(any.flags == 0);
    CHECK(any.takes(1));
    CHECK(any.takes(1000));
}

TEST_CASE("arity says how many words a command takes") {
    CHECK(info(verb::get).takes(2));
    CHECK_FALSE(info(verb::get).takes(1));
    CHECK_FALSE(info(verb::get).takes(3));
    CHECK(info(verb::mget).takes(2));
    CHECK(info(verb::mget).takes(200'000));
    CHECK_FALSE(info(verb::mget).takes(1));
    CHECK(info(verb::client_setname).takes(3));
}

TEST_CASE("flags tell reads from writes and what may wait") {
    CHECK(info(verb::get).is(command_flag::read_only));
    CHECK(info(verb::get).is(command_flag::fast));
    CHECK_FALSE(info(verb::get).is(command_flag::write));
    CHECK(info(verb::set).is(command_flag::write));
    CHECK_FALSE(info(verb::set).is(command_flag::read_only));
    CHECK(info(verb::eval_ro).is(command_flag::read_only));
    CHECK_FALSE(info(verb::eval).is(command_flag::read_only));
    for (const verb waiting :
         {verb::blpop, verb::bzmpop, verb::xread, verb::xreadgroup, verb::wait})
        CHECK(info(waiting).is(command_flag::blocking));
    for (const command_info& each : all_commands()) {
        CAPTURE(each.name);
        const bool both = each.is(command_flag::read_only) && each.is(command_flag::write);
        CHECK_FALSE(both);
    }
}

TEST_CASE("what changes a connection is told apart") {
    for (const verb what : {verb::select, verb::auth, verb::hello, verb::multi, verb::exec,
                            verb::watch, verb::subscribe, verb::monitor, verb::reset, verb::quit,
                            verb::client_reply, verb::client_tracking, verb::readonly}) {
        CAPTURE(info(what).name);
        CHECK(info(what).is(command_flag::connection_state));
    }
    for (const verb what : {verb::ping, verb::publish, verb::client_id, verb::get, verb::eval})
        CHECK_FALSE(info(what).is(command_flag::connection_state));
    for (const verb what : {verb::wait, verb::client_id, verb::client_getname, verb::client_info})
        CHECK(info(what).is(command_flag::of_connection));
    for (const verb what : {verb::client_list, verb::client_kill, verb::scan, verb::info})
        CHECK_FALSE(info(what).is(command_flag::of_connection));
}

TEST_CASE("policies say where a command goes in a cluster and how replies are joined") {
    CHECK(info(verb::dbsize).request == request_policy::all_shards);
    CHECK(info(verb::dbsize).response == response_policy::agg_sum);
    CHECK(info(verb::script_load).request == request_policy::all_nodes);
    CHECK(info(verb::script_exists).response == response_policy::agg_logical_and);
    CHECK(info(verb::mget).request == request_policy::multi_shard);
    CHECK(info(verb::get).request == request_policy::none);
    CHECK(info(verb::get).response == response_policy::none);
}

TEST_CASE("the position of a count of keys is known where it is fixed") {
    CHECK(info(verb::eval).numkeys_at == 2);
    CHECK(info(verb::zunion).numkeys_at == 1);
    CHECK(info(verb::zunionstore).numkeys_at == 2);
    CHECK(info(verb::blmpop).numkeys_at == 2);
    CHECK(info(verb::mget).numkeys_at == 0);
}
