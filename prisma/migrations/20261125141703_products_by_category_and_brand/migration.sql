-- CreateIndex
CREATE INDEX "Product_categories_idx" ON "Product" USING GIN ("categories");

-- CreateIndex
CREATE INDEX "Product_brand_idx" ON "Product"("brand");
