package store

import "iter"

// Ascending yields ids in order, for an engine that does not keep them so. It does the work
// for those that are taken alone: a page of a long list costs one pass over the ids, and
// not the sorting of all. It changes the order of ids.
func Ascending(ids []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := len(ids)/2 - 1; i >= 0; i-- {
			siftDown(ids, i)
		}
		for heap := ids; len(heap) > 0; {
			least, last := heap[0], len(heap)-1
			heap[0] = heap[last]
			heap = heap[:last]
			siftDown(heap, 0)
			if !yield(least) {
				return
			}
		}
	}
}

// siftDown makes the tree below i a heap again: no id is greater than those at 2i+1 and 2i+2.
func siftDown(heap []string, i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(heap); child++ {
			if heap[child] < heap[least] {
				least = child
			}
		}
		if least == i {
			return
		}
		heap[i], heap[least] = heap[least], heap[i]
		i = least
	}
}
