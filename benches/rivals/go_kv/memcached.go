package main

import "github.com/bradfitz/gomemcache/memcache"

// gomemcache: a Client may be shared, but this one keeps only two idle connections and opens new
// ones for everybody else, so each goroutine has a Client of its own and with it a connection.
type memcachedClient struct{ shared *memcache.Client }

func openMemcached(address string) (client, error) {
	return memcachedClient{memcache.New(address)}, nil
}

func (c memcachedClient) set(key, value string) error {
	return c.shared.Set(&memcache.Item{Key: key, Value: []byte(value)})
}

func (c memcachedClient) get(key string) (string, error) {
	item, err := c.shared.Get(key)
	if err != nil {
		return "", err
	}
	return string(item.Value), nil
}

func (c memcachedClient) close() {}
