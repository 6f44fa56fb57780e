# Seconds of scikit-learn to learn a support vector machine on tf-idf of character n-grams of the texts in argv[1] (JSON: texts, labels), tokenising included.
import json, sys, time
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC
data = json.load(open(sys.argv[1]))
started = time.perf_counter()
vectors = TfidfVectorizer(analyzer='char', ngram_range=(1, 3), min_df=2, sublinear_tf=True)
LinearSVC(C=.5).fit(vectors.fit_transform(data['texts']), data['labels'])
print(json.dumps({'seconds': time.perf_counter() - started}))
