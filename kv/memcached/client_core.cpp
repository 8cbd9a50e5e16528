#include <ouro/kv/memcached/client_core.hpp>

#include <algorithm>
#include <exception>
#include <new>
#include <utility>

namespace ouro::memcached {
namespace {

/// Failures of a server or of the way to it, as opposed to what is wrong with a request.
bool is_trouble(std::error_code code) noexcept {
    if (code == ouro::errc::cancelled) return false;
    if (code.category() != memcached::category()) return true;
    switch (static_cast<errc>(code.value())) {
        case errc::bad_key:
        case errc::value_too_large:
        case errc::bad_argument:
        case errc::client_error:
        case errc::not_a_number:
        case errc::unknown_command:
        case errc::not_authenticated:
        case errc::unsupported: return false;
        default: return true;
    }
}

ring_server ring_server_of(const server& one) {
    const address where = parse_address(one.at);
    return {where.path.empty() ? where.host : where.path, where.port, one.weight};
}

std::vector<ring_server> ring_servers_of(const std::vector<server>& servers) {
    std::vector<ring_server> all;
    for (const server& one : servers) all.push_back(ring_server_of(one));
    return all;
}

/// One server alone has every key, and needs no MD5 for that.
ring ring_of(const std::vector<server>& servers, const client_options& options) {
    return {servers.size() > 1 ? options.distribution : distribution::rendezvous,
            ring_servers_of(servers)};
}

session_options session_options_of(const server& one, const client_options& options) {
    session_options how;
    how.where = parse_address(one.at);
    how.dialect = options.dialect;
    how.user = options.user;
    how.password = options.password;
    how.credentials = options.credentials;
    how.base64_keys = options.base64_keys;
    how.connect_timeout = options.connect_timeout;
    how.failures_max = options.failures_max;
    how.backoff.ceiling = std::max(options.probe_interval, how.backoff.first);
    how.repeats = options.read_repeats;
    how.requests.queued_max = options.queued_max;
    how.requests.request_timeout = options.request_timeout;
    how.limits.value_bytes_max = std::min(options.value_bytes_max, item_bytes_max);
    how.stream = options.stream;
    how.names = options.names;
    how.tls = options.tls;
    how.tls_name = options.tls.server_name;
    how.tls.server_name = {};
    return how;
}

}  // namespace

client_core::client_core(const std::vector<server>& servers, const client_options& options)
    : options_(options), all_(ring_of(servers, options)), there_(ring_of(servers, options)) {
    for (const server& one : servers) sessions_.push_back(session_options_of(one, options));
    // The sessions have copies.
    options_.user = options_.password = options_.tls.server_name = {};
}

task<> client_core::connect() {
    for (session_options& how : sessions_) {
        nodes_.push_back(std::make_unique<node>(*this, nodes_.size()));
        nodes_.back()->link = session::open(std::move(how), nodes_.back().get());
    }
    sessions_.clear();
    std::exception_ptr first_failure;
    std::size_t failures = 0;
    for (const std::unique_ptr<node>& each : nodes_) {
        try {
            co_await each->link->ready();
            continue;
        } catch (const error& failure) {
            // One that refuses us is a mistake in the options; one that is away may come back.
            if (failure.code() == ouro::errc::cancelled || !is_trouble(failure.code()) ||
                failure.code() == errc::bad_reply || net::is_tls_refusal(failure.code()))
                throw;
            if (!first_failure) first_failure = std::current_exception();
        }
        ++failures;
    }
    if (failures == nodes_.size()) std::rethrow_exception(first_failure);
}

task<> client_core::close() {
    for (const std::unique_ptr<node>& each : nodes_) each->link->close();
    for (const std::unique_ptr<node>& each : nodes_) co_await each->link->closed();
}

std::size_t client_core::node_of(std::string_view key) noexcept {
    if (nodes_.size() == 1) return 0;
    if (behind_) catch_up();
    const std::size_t found = there_.server_of(key);
    return found < nodes_.size() ? found : all_.server_of(key);
}

void client_core::set_present(std::size_t node, bool present) noexcept {
    if (!options_.failover) return;
    try {
        there_.set_present(node, present);
    } catch (const std::bad_alloc&) {  // keys are where they were, until somebody asks for one
        behind_ = true;
    }
}

void client_core::catch_up() noexcept {
    behind_ = false;
    for (std::size_t at = 0; at < nodes_.size(); ++at)
        set_present(at, !nodes_[at]->link->is_down());
}

bool client_core::is_missed(const call_base& asked) {
    if (!asked.error_code()) return false;
    if (!options_.errors_as_misses || !is_trouble(asked.error_code())) asked.check();
    ++hidden_errors_;
    return true;
}

client_figures client_core::figures() const {
    client_figures now;
    now.hidden_errors = hidden_errors_;
    for (const std::unique_ptr<node>& each : nodes_) {
        const session& link = *each->link;
        now.servers.push_back(
            {link.name(), link.is_connected(), link.is_down(), link.connections(), link.figures()});
    }
    return now;
}

}  // namespace ouro::memcached
