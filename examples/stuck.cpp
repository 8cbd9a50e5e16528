// stuck: two transfers lock two accounts in opposite order, and wait for each other for good. The
// runtime notices, says who waits where, and the program ends with exit code 1.

#include <ouro/runtime/run.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sync/mutex.hpp>

using namespace ouro;

namespace {

struct account {
    mutex lock;
    int balance = 100;
};

task<> transfer(account& from, account& to, int amount) {
    auto first = co_await from.lock.lock();
    co_await yield();  // as if it had to ask somebody
    auto second = co_await to.lock.lock();
    from.balance -= amount;
    to.balance += amount;
}

task<> bank() {
    account savings;
    account wages;
    auto both = [&](scope& tasks) -> task<> {
        tasks.spawn(transfer(savings, wages, 10)).set_name("savings to wages");
        tasks.spawn(transfer(wages, savings, 20)).set_name("wages to savings");
        co_return;
    };
    co_await with_scope(both);
}

}  // namespace

int main() { return run(bank()); }
