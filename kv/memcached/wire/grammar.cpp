#include <ouro/kv/memcached/wire/grammar.hpp>

#include <ouro/kv/memcached/wire/binary.hpp>
#include <ouro/kv/memcached/wire/meta.hpp>
#include <ouro/kv/memcached/wire/text.hpp>

namespace ouro::memcached {
namespace {

bool can_say_everything(const request&) noexcept { return true; }

constexpr grammar grammars[] = {
    {meta::encode_head, meta::parse, can_say_everything, text::credentials, "\r\n", true, false},
    {text::encode_head, text::parse, text::can_say, text::credentials, "\r\n", false, true},
    {binary::encode_head, binary::parse, binary::can_say, binary::credentials, "", true, false},
};

}  // namespace

const grammar& grammar_of(dialect which) noexcept {
    return grammars[static_cast<std::size_t>(which)];
}

}  // namespace ouro::memcached
