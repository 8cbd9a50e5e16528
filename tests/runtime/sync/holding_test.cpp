#include <ouro/runtime/sync/holding.hpp>

#include <ouro/runtime/sync/mutex.hpp>
#include <ouro/runtime/sync/rw_mutex.hpp>
#include <ouro/runtime/sync/semaphore.hpp>

#include <doctest/doctest.h>

#include <string>
#include <type_traits>
#include <utility>

using namespace ouro;

namespace {

struct shelf {
    std::string returned;
};

struct book {
    void give_back(shelf& of) const noexcept { of.returned += title; }
    char title = '?';
};

class loan : public holding<shelf, book> {
public:
    loan() noexcept = default;
    loan(shelf& of, char title) noexcept : holding(of, {title}) {}

    using holding::give_back;
    using holding::let_go;
};

}  // namespace

TEST_CASE("a share is given back once, by whoever holds it last") {
    shelf books;
    {
        loan first(books, 'a');
        loan second = std::move(first);
        CHECK_FALSE(first);
        CHECK(second);
        CHECK(books.returned.empty());
    }
    CHECK(books.returned == "a");
}

TEST_CASE("what is assigned to gives back what it held") {
    shelf books;
    loan held(books, 'a');
    held = loan(books, 'b');
    CHECK(books.returned == "a");
    loan& same = held;
    held = std::move(same);
    CHECK(held);
    held = loan();
    CHECK(books.returned == "ab");
}

TEST_CASE("what was given back, or let go, is not given back again") {
    shelf books;
    {
        loan held(books, 'a');
        held.give_back();
        CHECK_FALSE(held);
        loan other(books, 'b');
        CHECK(&other.let_go() == &books);
        CHECK_FALSE(other);
    }
    CHECK(books.returned == "a");
}

TEST_CASE("a guard is a pointer, and a permit of many one with a count") {
    CHECK(sizeof(mutex::guard) == sizeof(void*));
    CHECK(sizeof(rw_mutex::guard) == sizeof(void*));
    CHECK(sizeof(rw_mutex::shared_guard) == sizeof(void*));
    CHECK(sizeof(semaphore::permit) == 2 * sizeof(void*));
    CHECK_FALSE(std::is_copy_constructible_v<mutex::guard>);
    CHECK_FALSE(std::is_copy_assignable_v<mutex::guard>);
    CHECK(std::is_nothrow_move_assignable_v<semaphore::permit>);
}
