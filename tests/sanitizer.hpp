// sanitizer.hpp: whether the address sanitizer looks on. Pools are off then, and counts of what was
// asked of the system mean nothing.
#pragma once

namespace ouro {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool address_sanitizer = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool address_sanitizer = true;
#else
constexpr bool address_sanitizer = false;
#endif
#else
constexpr bool address_sanitizer = false;
#endif

}  // namespace ouro
