package main

import "github.com/gomodule/redigo/redis"

// redigo: a connection serves one goroutine at a time; programs keep them in a pool.
type redisClient struct{ conn redis.Conn }

func openRedis(address string) (client, error) {
	conn, err := redis.Dial("tcp", address)
	return redisClient{conn}, err
}

func (c redisClient) set(key, value string) error {
	_, err := c.conn.Do("SET", key, value)
	return err
}

func (c redisClient) get(key string) (string, error) {
	return redis.String(c.conn.Do("GET", key))
}

func (c redisClient) close() { c.conn.Close() }
