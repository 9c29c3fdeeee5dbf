package sni

import "container/list"

// lru holds the values that were used last, up to a number.
type lru[K comparable, V any] struct {
	most  int
	items map[K]*list.Element
	order *list.List // of *item[K, V], the last used first
}

type item[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](most int) *lru[K, V] {
	return &lru[K, V]{most: most, items: map[K]*list.Element{}, order: list.New()}
}

// get returns a value and counts it as used.
func (l *lru[K, V]) get(k K) (v V, ok bool) {
	e, ok := l.items[k]
	if !ok {
		return v, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*item[K, V]).value, true
}

// put sets a value. It returns the one that was there before or had to go instead.
func (l *lru[K, V]) put(k K, v V) (gone V, evicted, replaced bool) {
	if e, ok := l.items[k]; ok {
		l.order.MoveToFront(e)
		it := e.Value.(*item[K, V])
		gone, it.value = it.value, v
		return gone, false, true
	}
	l.items[k] = l.order.PushFront(&item[K, V]{k, v})
	if l.order.Len() <= l.most {
		return gone, false, false
	}
	_, gone = l.removeOldest()
	return gone, true, false
}

// removeOldest removes what was not used for the longest time. There must be one.
func (l *lru[K, V]) removeOldest() (K, V) {
	oldest := l.order.Back().Value.(*item[K, V])
	l.remove(oldest.key)
	return oldest.key, oldest.value
}

func (l *lru[K, V]) remove(k K) {
	if e, ok := l.items[k]; ok {
		l.order.Remove(e)
		delete(l.items, k)
	}
}

// all calls f with each until it returns false. F may remove what it is called with.
func (l *lru[K, V]) all(f func(K, V) bool) {
	for e := l.order.Front(); e != nil; {
		it := e.Value.(*item[K, V])
		e = e.Next()
		if !f(it.key, it.value) {
			return
		}
	}
}

func (l *lru[K, V]) len() int { return l.order.Len() }
