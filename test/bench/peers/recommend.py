"""The peers' side of the recommendation benchmarks: one measurement a call, one JSON line out. Usage: recommend.py <what> [folder of data or reference]"""
import json, os, sys, time
import numpy as np, scipy.sparse as sp

what, folder = sys.argv[1], (sys.argv[2] if len(sys.argv) > 2 else '')
THREADS = int(os.environ.get('BENCH_THREADS', '2'))


def ml100k():
    rows = np.loadtxt(folder + '/data/ml-100k/mcrec.train.rating', dtype=np.int64)
    return sp.csr_matrix((np.ones(len(rows)), (rows[:, 0] - 1, rows[:, 1] - 1)), shape=(943, 1682))


def reference():
    sys.path.insert(0, folder + '/reference')
    import topn_lib
    return topn_lib


def best(work, rounds=3):
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[len(seconds) // 2]


def pairs(file):
    """u32 users, u32 items, as the benchmark wrote them; the first four numbers are users, items, entries, test entries."""
    raw = np.fromfile(file, dtype=np.uint32)
    users, items, n, m = (int(v) for v in raw[:4])
    body = raw[4:]
    train = sp.csr_matrix((np.ones(n, np.float32), (body[:n], body[n:2 * n])), shape=(users, items))
    test = sp.csr_matrix((np.ones(m, np.float32), (body[2 * n:2 * n + m], body[2 * n + m:])), shape=(users, items))
    return train, test


def als(train):
    from implicit.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits
    threadpool_limits(1)
    return AlternatingLeastSquares(factors=64, iterations=12, regularization=float(os.environ.get('ALS_REG', '5')), alpha=float(os.environ.get('ALS_ALPHA', '11')),
                                   num_threads=THREADS, random_state=1, use_gpu=False)


if what == 'item-cf':
    X, lib = ml100k(), reference()
    out = {'seconds': best(lambda: lib.itemknn(X, 100))}
elif what == 'ease':
    X, lib = ml100k(), reference()
    out = {'seconds': best(lambda: lib.ease(X, 300))}
elif what == 'als':
    train, test = pairs(folder)
    model = als(train)
    start = time.perf_counter()
    model.fit(train, show_progress=False)
    out = {'seconds': time.perf_counter() - start}
    users = np.nonzero(np.diff(test.indptr) > 0)[0]
    if len(users):
        ids, _ = model.recommend(users, train[users], N=10, filter_already_liked_items=True)
        gain = 1 / np.log2(np.arange(2, 12))
        total = 0.0
        for user, found in zip(users, ids):
            relevant = test.indices[test.indptr[user]:test.indptr[user + 1]]
            total += (np.isin(found, relevant) * gain).sum() / gain[:min(10, len(relevant))].sum()
        out['ndcg'] = total / len(users)
elif what == 'recommend-all':
    from implicit.als import AlternatingLeastSquares
    users, items, count = 20000, 20000, 50
    random = np.random.RandomState(1)
    model = AlternatingLeastSquares(factors=64, num_threads=THREADS, use_gpu=False)
    model.user_factors = random.normal(size=(users, 64)).astype(np.float32)
    model.item_factors = random.normal(size=(items, 64)).astype(np.float32)
    empty = sp.csr_matrix((users, items), dtype=np.float32)
    ids = np.arange(users)
    out = {'seconds': best(lambda: model.recommend(ids, empty, N=count, filter_already_liked_items=False)), 'users': users}
elif what == 'pearson':
    import pandas as pd
    from surprise import Dataset, KNNWithMeans, Reader
    rows = pd.read_csv(folder + '/data/ml-100k/u.data', sep='\t', header=None, names=['u', 'i', 'r', 't'])
    seconds, errors = 0.0, []
    for fold in range(5):
        test = rows.iloc[fold * 20000:(fold + 1) * 20000]
        train = Dataset.load_from_df(rows.drop(test.index)[['u', 'i', 'r']], Reader(rating_scale=(1, 5))).build_full_trainset()
        start = time.perf_counter()
        model = KNNWithMeans(k=40, sim_options={'name': 'pearson'}, verbose=False)
        model.fit(train)
        found = model.test(list(test[['u', 'i', 'r']].itertuples(index=False, name=None)))
        seconds += time.perf_counter() - start
        errors.append(np.sqrt(np.mean([(p.est - p.r_ui) ** 2 for p in found])))
    out = {'seconds': seconds, 'rmse': float(np.mean(errors))}
else:
    sys.exit('unknown measurement ' + what)
print(json.dumps(out))
