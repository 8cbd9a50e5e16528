#include <ouro/runtime/engine/intrusive_list.hpp>

#include <ouro/tests/dies.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace ouro;

namespace {

struct by_age;

struct item : list_hook<>, list_hook<by_age> {
    explicit item(char name) : name(name) {}
    char name;
};

template <class Tag>
std::string names(intrusive_list<item, Tag>& list) {
    std::string text;
    list.for_each([&](item& each) { text += each.name; });
    return text;
}

}  // namespace

TEST_CASE("a list is first in, first out") {
    intrusive_list<item> list;
    item a('a'), b('b'), c('c');
    CHECK(list.empty());
    list.push_back(b);
    list.push_back(c);
    list.push_front(a);
    CHECK(names(list) == "abc");
    CHECK(list.count() == 3);
    CHECK(&list.front() == &a);
    CHECK(&list.pop_front() == &a);
    CHECK(&list.pop_front() == &b);
    CHECK(&list.pop_front() == &c);
    CHECK(list.empty());
}

TEST_CASE("an element leaves its list by itself, wherever it stands") {
    intrusive_list<item> list;
    item a('a'), b('b'), c('c');
    for (item* each : {&a, &b, &c}) list.push_back(*each);
    static_cast<list_hook<>&>(b).unlink();
    CHECK(names(list) == "ac");
    static_cast<list_hook<>&>(a).unlink();
    CHECK(names(list) == "c");
    static_cast<list_hook<>&>(c).unlink();
    CHECK(list.empty());
    list.push_back(b);
    CHECK(names(list) == "b");
    CHECK(static_cast<list_hook<>&>(b).linked());
    list.pop_front();
    CHECK_FALSE(static_cast<list_hook<>&>(b).linked());
}

TEST_CASE("an element can be in lists of several kinds") {
    intrusive_list<item> queue;
    intrusive_list<item, by_age> ages;
    item a('a'), b('b');
    queue.push_back(a);
    queue.push_back(b);
    ages.push_back(b);
    ages.push_back(a);
    CHECK(names(queue) == "ab");
    CHECK(names(ages) == "ba");
    queue.pop_front();
    CHECK(names(ages) == "ba");
    queue.pop_front();
    ages.pop_front();
    ages.pop_front();
}

TEST_CASE("splicing takes everything, in order, behind what is there") {
    intrusive_list<item> list, other;
    item a('a'), b('b'), c('c'), d('d');
    list.splice_back(other);
    CHECK(list.empty());
    other.push_back(a);
    list.splice_back(other);
    CHECK(names(list) == "a");
    CHECK(other.empty());
    for (item* each : {&b, &c, &d}) other.push_back(*each);
    list.splice_back(other);
    CHECK(names(list) == "abcd");
    CHECK(other.empty());
    static_cast<list_hook<>&>(d).unlink();
    other.push_back(d);
    CHECK(names(other) == "d");
    while (!list.empty()) list.pop_front();
    other.pop_front();
}

TEST_CASE("a visitor may unlink what it visits") {
    intrusive_list<item> list;
    item a('a'), b('b'), c('c');
    for (item* each : {&a, &b, &c}) list.push_back(*each);
    list.for_each([](item& each) {
        if (each.name != 'b') static_cast<list_hook<>&>(each).unlink();
    });
    CHECK(names(list) == "b");
    list.pop_front();
}

TEST_CASE("misuse asserts") {
    CHECK(asserts("!linked()", [] {
        intrusive_list<item> list;
        item a('a');
        list.push_back(a);
    }));
    CHECK(asserts("!link.linked()", [] {
        intrusive_list<item> list, other;
        item a('a');
        list.push_back(a);
        other.push_back(a);
    }));
    CHECK(asserts("linked()", [] {
        item a('a');
        static_cast<list_hook<>&>(a).unlink();
    }));
    CHECK(asserts("!empty()", [] {
        intrusive_list<item> list;
        list.pop_front();
    }));
    CHECK(asserts("empty()", [] {
        item a('a');
        intrusive_list<item> list;
        list.push_back(a);
    }));
}
