#include <ouro/kv/redis/error.hpp>

#include <algorithm>
#include <iterator>

namespace ouro::redis {
namespace {

struct known_word {
    std::string_view word;
    errc code;
};

// The first words of error messages; what is not here is server_error.
constexpr known_word known_words[] = {
    {"ASK", errc::ask},
    {"BUSY", errc::busy},
    {"BUSYGROUP", errc::busy_group},
    {"BUSYKEY", errc::busy_key},
    {"CLUSTERDOWN", errc::cluster_down},
    {"CROSSSLOT", errc::cross_slot},
    {"EXECABORT", errc::exec_aborted},
    {"LOADING", errc::loading},
    {"MASTERDOWN", errc::master_down},
    {"MISCONF", errc::misconfigured},
    {"MOVED", errc::moved},
    {"NOAUTH", errc::no_auth},
    {"NOGROUP", errc::no_group},
    {"NOPERM", errc::no_permission},
    {"NOPROTO", errc::no_protocol},
    {"NOREPLICAS", errc::no_replicas},
    {"NOSCRIPT", errc::no_script},
    {"OOM", errc::out_of_memory},
    {"READONLY", errc::read_only},
    {"REPLYTOOLARGE", errc::reply_too_large},  // said by session in a server's place
    {"TRYAGAIN", errc::try_again},
    {"UNBLOCKED", errc::unblocked},
    {"WRONGPASS", errc::wrong_password},
    {"WRONGTYPE", errc::wrong_type},
};
static_assert(std::ranges::is_sorted(known_words, {}, &known_word::word), "searched by halves");

// What "ERR" says more precisely.
constexpr known_word known_phrases[] = {
    {"unknown command", errc::unknown_command},
    {"max number of clients", errc::too_many_clients},
    {"max clients", errc::too_many_clients},
    {"invalid password", errc::wrong_password},
    {"Client sent AUTH, but no password is set", errc::wrong_password},
    {"AUTH <password> called without any password", errc::wrong_password},
};

class redis_category final : public std::error_category {
public:
    const char* name() const noexcept override { return "redis"; }
    std::string message(int code) const override { return words(static_cast<errc>(code)); }

private:
    static const char* words(errc code) {
        switch (code) {
            case errc::server_error: return "the server reported an error";
            case errc::wrong_type: return "the key holds another kind of value";
            case errc::no_auth: return "authentication required";
            case errc::wrong_password: return "wrong user name or password";
            case errc::no_permission: return "no permission";
            case errc::loading: return "the server is loading its data set";
            case errc::read_only: return "the server is a read-only replica";
            case errc::no_script: return "no such script on the server";
            case errc::out_of_memory: return "the server is out of memory";
            case errc::busy: return "the server is busy running a script";
            case errc::busy_key: return "the target key exists";
            case errc::busy_group: return "the consumer group exists";
            case errc::no_group: return "no such consumer group";
            case errc::misconfigured: return "the server refuses writes: it cannot save";
            case errc::no_replicas: return "too few replicas to accept writes";
            case errc::master_down: return "the replica has lost its master";
            case errc::unblocked: return "unblocked by another client";
            case errc::no_protocol: return "the server does not speak this protocol version";
            case errc::unknown_command: return "unknown command";
            case errc::too_many_clients: return "the server has too many clients";
            case errc::exec_aborted: return "the transaction was refused";
            case errc::moved: return "the slot belongs to another node";
            case errc::ask: return "the slot is moving to another node";
            case errc::try_again: return "the keys are being moved";
            case errc::cluster_down: return "the cluster is down";
            case errc::cross_slot: return "the keys are in different slots";
            case errc::bad_url: return "not the URL of a Redis server";
            case errc::protocol_error: return "not the Redis protocol";
            case errc::unexpected_reply: return "a reply of an unexpected type";
            case errc::null_reply: return "a null reply";
            case errc::conflict: return "a watched key was changed";
            case errc::not_shareable: return "the command needs a connection of its own";
            case errc::too_large: return "larger than Redis accepts";
            case errc::redirected_too_often: return "redirected too often";
            case errc::unhealthy: return "no healthy server is known";
            case errc::not_cacheable: return "the command cannot be cached";
            case errc::batch_ended: return "the batch has no such reply";
            case errc::reply_too_large: return "a line of the reply is too long";
        }
        return "unknown error";
    }
};

std::string text_of(net::fate how_far, std::string_view about, std::string_view words) {
    std::string text(about);
    if (!words.empty()) {
        if (!text.empty()) text += ": ";
        text += words;
    } else if (how_far != net::fate::answered) {
        text += text.empty() ? "" : " (";
        text += net::to_string(how_far);
        text += about.empty() ? "" : ")";
    }
    return text;
}

}  // namespace

error::error(std::error_code code, net::fate how_far, std::string_view about,
             std::string_view words)
    : std::system_error(code, text_of(how_far, about, without_arguments(words))),
      words_(without_arguments(words)),
      how_far_(how_far) {}

const std::error_category& category() noexcept {
    static const redis_category instance;
    return instance;
}

std::string without_arguments(std::string_view words) {
    constexpr std::string_view modifier = "modifier '";
    std::string shown(words.substr(0, words.find(", with args beginning with")));
    const std::size_t quoted = shown.find(modifier);
    if (quoted == std::string::npos) return shown;
    const std::size_t begin = quoted + modifier.size();
    // '>' and '<' stand before a password, '#' and '!' before the hash of one.
    if (begin == shown.size() || std::string_view("<>#!").find(shown[begin]) == std::string::npos)
        return shown;
    const std::size_t end = shown.rfind("': ");
    const bool ends = end != std::string::npos && end > begin;
    return shown.replace(begin + 1, (ends ? end : shown.size()) - begin - 1, "***");
}

std::string without_secret(std::string text, std::string_view secret) {
    constexpr std::string_view stars = "***";
    if (secret.empty()) return text;
    for (std::size_t at = text.find(secret); at != std::string::npos;
         at = text.find(secret, at + stars.size()))
        text.replace(at, secret.size(), stars);
    return text;
}

errc code_of(std::string_view words) noexcept {
    const std::string_view first = words.substr(0, words.find(' '));
    if (first == "ERR") {
        const std::string_view rest = words.substr(std::min(words.size(), std::size_t{4}));
        for (const known_word& phrase : known_phrases)
            if (rest.starts_with(phrase.word)) return phrase.code;
        return errc::server_error;
    }
    const auto* const found = std::ranges::lower_bound(known_words, first, {}, &known_word::word);
    return found != std::end(known_words) && found->word == first ? found->code
                                                                  : errc::server_error;
}

}  // namespace ouro::redis
