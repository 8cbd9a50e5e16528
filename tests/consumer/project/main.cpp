// What a user's project looks like: it sleeps for a moment on ouro and says so.

#include <ouro/runtime/run.hpp>
#include <ouro/runtime/task.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <chrono>
#include <cstdio>

ouro::task<> greet() {
    co_await ouro::sleep_for(std::chrono::milliseconds(1));
    std::puts("consumed");
}

int main() { return ouro::run(greet()); }
