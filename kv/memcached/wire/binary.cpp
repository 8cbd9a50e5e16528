#include <ouro/kv/memcached/wire/binary.hpp>

#include <ouro/kv/memcached/wire/line.hpp>

namespace ouro::memcached::binary {
namespace {

// byte  0      1       2   3       4        5          6   7       8 … 11       12 … 15  16 … 23
//       magic  opcode  key length  extras   data type  status or   body length  opaque   cas
//                                  length              0           (all behind)
constexpr std::size_t header_bytes = 24;
constexpr std::uint8_t request_magic = 0x80;
constexpr std::uint8_t reply_magic = 0x81;

namespace op {
enum : std::uint8_t {
    get = 0x00,
    set = 0x01,
    add = 0x02,
    replace = 0x03,
    remove = 0x04,
    increment = 0x05,
    decrement = 0x06,
    flush = 0x08,
    noop = 0x0a,
    version = 0x0b,
    append = 0x0e,
    prepend = 0x0f,
    stat = 0x10,
    touch = 0x1c,
    get_and_touch = 0x1d,
    authenticate = 0x21,
};
}

constexpr std::string_view mechanism = "PLAIN";
constexpr std::uint32_t do_not_create = 0xffffffff;  // as an increment's expiration time

/// Writes big-endian numbers one after the other.
class byte_writer {
public:
    explicit byte_writer(char* into) noexcept : begin_(into), at_(into) {}

    template <std::unsigned_integral Number>
    void put(Number number) noexcept {
        for (std::size_t i = sizeof(Number); i-- > 0;)
            *at_++ = static_cast<char>(static_cast<std::uint64_t>(number) >> (8 * i) & 0xff);
    }
    void put(std::string_view bytes) noexcept {
        if (!bytes.empty()) std::memcpy(at_, bytes.data(), bytes.size());
        at_ += bytes.size();
    }
    std::size_t size() const noexcept { return static_cast<std::size_t>(at_ - begin_); }

private:
    char* begin_;
    char* at_;
};

template <std::unsigned_integral Number>
Number read(std::span<const std::byte> in, std::size_t at) noexcept {
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < sizeof(Number); ++i)
        number = number << 8 | std::to_integer<std::uint64_t>(in[at + i]);
    return static_cast<Number>(number);
}

/// The field has no sign: what is expired already gets a date of 1970.
std::uint32_t exptime_of(const request& what) noexcept {
    constexpr std::int32_t long_ago = 60 * 60 * 24 * 30 + 1;
    const std::int32_t exptime = what.exptime.value_or(0);
    return static_cast<std::uint32_t>(exptime < 0 ? long_ago : exptime);
}

void put_extras(byte_writer& out, const request& what) noexcept {
    switch (what.what) {
        case verb::set:
        case verb::add:
        case verb::replace:
            out.put(what.flags);
            out.put(exptime_of(what));
            break;
        case verb::increment:
        case verb::decrement:
            out.put(what.delta);
            out.put(what.initial);
            out.put(what.exptime ? exptime_of(what) : do_not_create);
            break;
        case verb::get:
        case verb::flush:
            if (what.exptime) out.put(exptime_of(what));
            break;
        case verb::touch: out.put(exptime_of(what)); break;
        default: break;
    }
}

// Replies.

struct server_status {
    std::uint16_t number;
    status meaning;
    errc code;
};

constexpr server_status statuses[] = {
    {0x0000, status::ok, {}},
    {0x0001, status::not_found, {}},
    {0x0002, status::exists, {}},
    {0x0003, status::server_error, errc::value_too_large},
    {0x0004, status::client_error, errc::client_error},
    {0x0005, status::not_stored, {}},
    {0x0006, status::client_error, errc::not_a_number},
    {0x0020, status::client_error, errc::not_authenticated},
    {0x0021, status::client_error, errc::not_authenticated},
    {0x0081, status::error, errc::unknown_command},
    {0x0082, status::server_error, errc::out_of_memory},
};

void read_status(std::uint16_t number, reply& out) noexcept {
    out.what = status::server_error;
    out.code = errc::server_error;
    for (const server_status& known : statuses)
        if (known.number == number) {
            out.what = known.meaning;
            out.code = known.code;
            return;
        }
}

/// What a successful reply means, by its opcode, extras, key and the rest.
bool read_success(std::string_view extras, reply& out) noexcept {
    const auto bytes = std::as_bytes(std::span(out.value));
    switch (out.opcode) {
        case op::get:
        case op::get_and_touch:
            if (extras.size() != 4) return false;
            out.flags = read<std::uint32_t>(std::as_bytes(std::span(extras)), 0);
            out.what = status::value;
            return true;
        case op::increment:
        case op::decrement:
            if (bytes.size() != 8) return false;
            out.number = read<std::uint64_t>(bytes, 0);
            out.what = status::number;
            return true;
        case op::stat: out.what = out.has_key ? status::stat : status::end; return true;
        case op::version: out.what = status::version; return true;
        case op::noop: out.what = status::noop; return true;
        default: return true;
    }
}

}  // namespace

std::uint8_t opcode_of(const request& what) noexcept {
    switch (what.what) {
        case verb::get: return what.exptime ? op::get_and_touch : op::get;
        case verb::touch: return op::touch;
        case verb::set: return op::set;
        case verb::add: return op::add;
        case verb::replace: return op::replace;
        case verb::append: return op::append;
        case verb::prepend: return op::prepend;
        case verb::increment: return op::increment;
        case verb::decrement: return op::decrement;
        case verb::remove: return op::remove;
        case verb::flush: return op::flush;
        case verb::stats: return op::stat;
        case verb::version: return op::version;
        case verb::noop: return op::noop;
        case verb::authenticate: return op::authenticate;
    }
    return op::noop;
}

std::size_t encode_head(const request& what, std::span<char, head_bytes_max> into) noexcept {
    // The lengths in the header are known once the rest is written.
    byte_writer rest(into.data() + header_bytes);
    put_extras(rest, what);
    const std::size_t extras = rest.size();
    const std::string_view key = what.what == verb::authenticate ? mechanism : what.key;
    OURO_ASSERT(key.size() <= key_bytes_max);
    rest.put(key);

    byte_writer header(into.data());
    header.put(request_magic);
    header.put(opcode_of(what));
    header.put(static_cast<std::uint16_t>(key.size()));
    header.put(static_cast<std::uint8_t>(extras));
    header.put(std::uint8_t{0});
    header.put(std::uint16_t{0});
    header.put(static_cast<std::uint32_t>(rest.size() + what.value.size()));
    header.put(what.opaque);
    header.put(what.cas);
    return header_bytes + rest.size();
}

bool can_say(const request& what) noexcept {
    return !what.base64 && !what.stale && !what.vivify && !what.recache && !what.wants_ttl;
}

result<std::size_t> parse(std::span<const std::byte> in, reply& out,
                          const wire_limits& limits) noexcept {
    out = {};
    if (!in.empty() && in[0] != std::byte{reply_magic}) return make_error_code(errc::bad_reply);
    if (in.size() < header_bytes) return 0;
    const auto key = read<std::uint16_t>(in, 2);
    const auto extras = read<std::uint8_t>(in, 4);
    const auto body = read<std::uint32_t>(in, 8);
    const std::size_t before_value = key + std::size_t{extras};
    if (before_value > body || key > key_bytes_max || body > item_bytes_max)
        return make_error_code(errc::bad_reply);
    read_status(read<std::uint16_t>(in, 6), out);
    if (out.what != status::ok && body > limits.line_bytes_max)
        return make_error_code(errc::bad_reply);
    out.opcode = read<std::uint8_t>(in, 1);
    out.opaque = read<std::uint32_t>(in, 12);
    out.has_opaque = true;
    out.cas = read<std::uint64_t>(in, 16);
    const std::size_t all = header_bytes + body;
    out.bytes_wanted = all;
    if (body - before_value > limits.value_bytes_max) return make_error_code(errc::value_too_large);
    if (in.size() < all) return 0;
    const std::string_view behind = as_text(in.subspan(header_bytes, body));
    out.key = behind.substr(extras, key);
    out.has_key = key > 0;
    out.value = behind.substr(before_value);
    if (out.is_error())
        out.words = out.value;
    else if (out.what == status::ok && !read_success(behind.substr(0, extras), out))
        return make_error_code(errc::bad_reply);
    return all;
}

std::string credentials(std::string_view user, std::string_view password) {
    std::string plain(1, '\0');
    plain += user;
    plain += '\0';
    plain += password;
    return plain;
}

}  // namespace ouro::memcached::binary
