#include <ouro/kv/redis/sentinel/lookup.hpp>

#include <ouro/kv/redis/connection/pipeline.hpp>
#include <ouro/kv/redis/error.hpp>
#include <ouro/net/session/tls_options.hpp>
#include <ouro/runtime/timeout.hpp>

#include <charconv>
#include <exception>
#include <unordered_map>
#include <utility>

namespace ouro::redis {
namespace {

using fields = std::unordered_map<std::string, std::string>;
using host_and_port = std::pair<std::string, std::uint16_t>;

template <class Number>
Number number_in(const fields& all, const char* name) noexcept {
    Number number = 0;
    if (const auto at = all.find(name); at != all.end())
        std::from_chars(at->second.data(), at->second.data() + at->second.size(), number);
    return number;
}

std::vector<address> addresses_in(const std::vector<fields>& servers, bool only_up) {
    std::vector<address> all;
    for (const fields& each : servers) {
        address where;
        const auto host = each.find("ip");
        where.port = number_in<std::uint16_t>(each, "port");
        if (host == each.end() || host->second.empty() || where.port == 0) continue;
        where.host = host->second;
        const auto flags = each.find("flags");
        const auto link = each.find("master-link-status");
        const bool down =
            flags != each.end() && (flags->second.find("down") != std::string::npos ||
                                    flags->second.find("disconnected") != std::string::npos);
        const bool cut_off = link != each.end() && link->second != "ok";
        if (!only_up || (!down && !cut_off)) all.push_back(std::move(where));
    }
    return all;
}

task<sentinel_report> question(session& on, const std::string& name) {
    pipeline questions(on);
    auto master = questions.command<std::optional<host_and_port>>(
        "SENTINEL GET-MASTER-ADDR-BY-NAME", words(name));
    auto state = questions.command<fields>("SENTINEL MASTER", words(name));
    auto sentinels = questions.command<std::vector<fields>>("SENTINEL SENTINELS", words(name));
    auto replicas = questions.command<std::vector<fields>>("SENTINEL REPLICAS", words(name));
    co_await questions.exec();
    const std::optional<host_and_port> said = master.get();
    if (!said)
        throw error(errc::unhealthy, net::fate::answered, "sentinel", "knows no such master");
    sentinel_report report;
    report.master.host = said->first;
    report.master.port = said->second;
    // Older ones know less, and what they know is enough.
    if (const auto known = state.as_result())
        report.epoch = number_in<std::uint64_t>(*known, "config-epoch");
    if (const auto known = sentinels.as_result()) report.sentinels = addresses_in(*known, false);
    if (const auto known = replicas.as_result()) report.replicas = addresses_in(*known, true);
    co_return report;
}

bool is_telling(std::error_code code) noexcept {
    return code == errc::no_auth || code == errc::wrong_password || code == errc::no_permission ||
           code == errc::protocol_error || net::is_tls_refusal(code);
}

}  // namespace

task<std::optional<sentinel_report>> sentinel_lookup::find() {
    const auto ask_all = [this](scope& all) -> task<> {
        if (about_.hint) all.spawn(try_hint(all));
        for (const session_options& each : about_.sentinels) all.spawn(try_sentinel(each, all));
        co_return;
    };
    co_await with_scope(ask_all);
    co_return std::move(found_);
}

task<> sentinel_lookup::try_sentinel(session_options how, scope& all) {
    const std::string who = "sentinel " + to_string(how.where);
    try {
        sentinel_report report = co_await timeout(about_.limit, ask(std::move(how)));
        if (!found_) succeed(std::move(report), all);
    } catch (const std::system_error& failure) {
        fail(who, failure.code(), failure.what());
    }
}

task<> sentinel_lookup::try_hint(scope& all) {
    const address where = *about_.hint;
    try {
        co_await timeout(about_.limit, check_role(where));
        sentinel_report report;
        report.master = where;
        if (!found_) succeed(std::move(report), all);
    } catch (const std::system_error& failure) {
        fail("announced " + to_string(where), failure.code(), failure.what());
    }
}

task<sentinel_report> sentinel_lookup::ask(session_options how) {
    how.reconnect = false;
    const auto asked = session::open(std::move(how));
    sentinel_report report;
    std::exception_ptr failure;
    try {
        co_await asked->ready();
        report = co_await question(*asked, about_.name);
    } catch (...) {
        failure = std::current_exception();
    }
    co_await shield(asked->closed());
    if (failure) std::rethrow_exception(failure);
    ++answered_;
    if (report.epoch < about_.epoch_min) {
        ++outdated_;
        throw error(errc::unhealthy, net::fate::answered, "sentinel", "tells of what was before");
    }
    co_await check_role(report.master);
    co_return report;
}

task<> sentinel_lookup::check_role(address where) {
    session_options how = about_.to_master;
    how.where = where;
    how.reconnect = false;
    how.guided = false;
    const auto asked = session::open(std::move(how));
    std::exception_ptr failure;
    try {
        co_await asked->ready();
    } catch (...) {
        failure = std::current_exception();
    }
    co_await shield(asked->closed());
    if (failure) std::rethrow_exception(failure);
}

void sentinel_lookup::succeed(sentinel_report report, scope& all) {
    found_ = std::move(report);
    all.cancel();
}

void sentinel_lookup::fail(std::string_view who, std::error_code code, std::string_view what) {
    if (found_) return;
    if (!failure_ || (is_telling(code) && !is_telling(failure_))) failure_ = code;
    if (!story_.empty()) story_ += "; ";
    story_ += who;
    story_ += ": ";
    story_ += what;
}

}  // namespace ouro::redis
