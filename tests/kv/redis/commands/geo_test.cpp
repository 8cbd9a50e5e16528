#include <ouro/kv/redis/commands/geo.hpp>

#include <ouro/tests/kv/redis/plain_door.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace ouro::redis;

using texts = std::vector<std::string>;

namespace {

constexpr geo_position palermo{13.361389, 38.115556};
constexpr geo_position catania{15.087269, 37.502669};

void add_sicily(plain_door& db) {
    CHECK(db.geoadd("Sicily", {{palermo, "Palermo"}, {catania, "Catania"}}) == 2);
}

bool near(geo_position a, geo_position b) {
    return std::abs(a.longitude - b.longitude) < 0.0001 &&
           std::abs(a.latitude - b.latitude) < 0.0001;
}

bool near(std::optional<double> a, double b) { return a && std::abs(*a - b) < 0.001; }

texts names_of(const std::vector<geo_result>& found) {
    texts names;
    for (const geo_result& each : found) names.push_back(each.member);
    return names;
}

}  // namespace

OURO_TEST_DOOR("places are added, and found again") {
    add_sicily(db);
    CHECK(db.geoadd("Sicily", {{palermo, "Catania"}}, {.changed = true}) == 1);
    CHECK(db.geoadd("Sicily", {{catania, "Catania"}},
                    {.when = zadd_options::when_kind::if_absent}) == 0);
    const std::vector<std::pair<geo_position, std::string>> listed{{catania, "Catania"}};
    CHECK(db.geoadd("Sicily", listed) == 0);
    const auto places = db.geopos("Sicily", {"Palermo", "nowhere", "Catania"});
    REQUIRE(places.size() == 3);
    CHECK(near(places[0].value(), palermo));
    CHECK_FALSE(places[1]);
    CHECK(near(places[2].value(), catania));
    CHECK(db.geohash("Sicily", {"Palermo", "nowhere"}) ==
          std::vector<std::optional<std::string>>{"sqc8b49rny0", std::nullopt});
    CHECK(code_from([&] { db.geoadd("Sicily", {{{200, 100}, "off"}}); }) == errc::server_error);
    CHECK(db.geoadd("more", {{palermo, "a"}, {palermo, "b"}, {palermo, "c"}}) == 3);
    CHECK(db.geoadd("more", {{palermo, "a"}, {palermo, "b"}, {palermo, "c"}, {palermo, "d"}}) == 1);
}

OURO_TEST_DOOR("distances are told in any unit") {
    add_sicily(db);
    CHECK(near(db.geodist("Sicily", "Palermo", "Catania"), 166274.1516));
    CHECK(near(db.geodist("Sicily", "Palermo", "Catania", geo_unit::km), 166.2742));
    CHECK(near(db.geodist("Sicily", "Palermo", "Catania", geo_unit::mi), 103.3182));
    CHECK(near(db.geodist("Sicily", "Palermo", "Catania", geo_unit::ft), 545518.8699));
    CHECK_FALSE(db.geodist("Sicily", "Palermo", "nowhere"));
}

OURO_TEST_DOOR("GEOSEARCH finds what lies in a shape") {
    add_sicily(db);
    const geo_position center{15, 37};
    CHECK(names_of(db.geosearch("Sicily", center, geo_circle{200, geo_unit::km},
                                {.order = geo_order::nearest_first})) ==
          texts{"Catania", "Palermo"});
    CHECK(names_of(db.geosearch("Sicily", center, geo_circle{100, geo_unit::km})) ==
          texts{"Catania"});
    CHECK(names_of(db.geosearch("Sicily", "Palermo", geo_circle{200, geo_unit::km},
                                {.order = geo_order::farthest_first, .count = 1})) ==
          texts{"Catania"});
    CHECK(
        db.geosearch("Sicily", "Palermo", geo_circle{200, geo_unit::km}, {.count = 1, .any = true})
            .size() == 1);
    const auto full = db.geosearch("Sicily", center, geo_box{400, 400, geo_unit::km},
                                   {.order = geo_order::nearest_first,
                                    .with_distance = true,
                                    .with_hash = true,
                                    .with_position = true});
    REQUIRE(full.size() == 2);
    CHECK(near(full[0].distance, 56.4413));
    CHECK(full[0].hash == 3479447370796909);
    CHECK(near(full[0].position.value(), catania));
    const auto plain = db.geosearch("Sicily", center, geo_circle{100, geo_unit::km});
    CHECK_FALSE(plain[0].distance);
    CHECK(db.geosearch("nothing", center, geo_circle{1}).empty());
    CHECK(code_from([&] { db.geosearch("Sicily", "nowhere", geo_circle{1}); }) ==
          errc::server_error);
}

OURO_TEST_DOOR("GEOSEARCHSTORE keeps what it found") {
    add_sicily(db);
    CHECK(db.geosearchstore("to", "Sicily", "Palermo", geo_circle{200, geo_unit::km}) == 2);
    CHECK(db.geosearchstore("to", "Sicily", "Palermo", geo_box{10, 10, geo_unit::km},
                            {.count = 1, .any = true, .distances = true}) == 1);
    CHECK(db.zscore("to", "Palermo") == 0);
    CHECK(db.geosearchstore("to", "Sicily", palermo, geo_circle{200, geo_unit::km},
                            {.order = geo_order::farthest_first, .count = 1}) == 1);
}

OURO_TEST_DOOR("the old ways to search do what they did") {
    add_sicily(db);
    const geo_position center{15, 37};
    CHECK(db.georadius("Sicily", center, 200, geo_unit::km).size() == 2);
    const auto found = db.georadius_ro("Sicily", center, 200, geo_unit::km,
                                       {.order = geo_order::nearest_first, .with_distance = true});
    CHECK(near(found.at(0).distance, 56.4413));
    CHECK(db.georadiusbymember("Sicily", "Palermo", 200'000).size() == 2);
    CHECK(names_of(db.georadiusbymember_ro("Sicily", "Palermo", 1, geo_unit::km)) ==
          texts{"Palermo"});
}
