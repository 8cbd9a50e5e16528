// compiler.hpp: refuses the compilers that translate coroutines wrongly.
//
//  - g++ before 13 copies aggregates and closures in an awaited expression byte by byte, and then
//    destroys both. `co_await names.send(item{"Ada", 36})`, `co_await blocking([path] {…})`,
//    `co_await save({"Ada", 36})` free twice or read what is gone, at every optimisation, without a
//    warning. No header can tell that a program has no such line.
//  - g++ 15 and 16 leak what `auto [a, b] = co_await …` binds. No header sees how its user binds a
//    value, so none can warn of it; a house rule keeps our own code, tests and words free of it.
//    Write `auto both = co_await …; auto& [a, b] = both;`, which every compiler gets right.
//  - clang before 16 lacks what the headers are written in.
//
// OURO_ALLOW_GCC12 says that every source that includes us keeps braces and lambdas out of awaited
// expressions, as ouro's own do: name the value first, and std::move() it.
#pragma once

#if defined(__clang__)
#if __clang_major__ < 16
#error "ouro needs clang 17 or newer, or g++ 13 or newer (Debian 12: apt-get install clang-19)"
#endif
#elif defined(__GNUC__) && __GNUC__ < 13 && !defined(OURO_ALLOW_GCC12)
#error \
    "ouro needs g++ 13 or newer, or clang 17 or newer (Debian 12: apt-get install clang-19). \
g++ 12 copies aggregates and closures in an awaited expression byte by byte: double frees without \
a warning. OURO_ALLOW_GCC12 says that none of your sources has a brace or lambda in one."
#endif
